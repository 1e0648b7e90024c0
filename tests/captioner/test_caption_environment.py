import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from stand_in_conda import write_stand_in_conda

from lib.captioner import environment
from lib.captioner.environment import (
    CaptionEnv,
    caption_device,
    check_caption_env,
    inspect_interpreter,
    resolve_caption_env,
)
from lib.errors import InputError

# What `_INSPECT` asks NVIDIA's driver, answered for one GPU of compute capability 8.6 with 24 GiB.
DRIVER = """
#include <stddef.h>
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetAttribute(int *value, int number, int device) { *value = number == 75 ? 8 : 6; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)24 << 30; return 0; }
"""


@pytest.fixture(scope="module")
def venv(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("conda") / "envs" / "captions"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return folder


@pytest.fixture
def conda(tmp_path, monkeypatch, venv):
    """A stand-in for conda with the environments base and captions."""
    folder = write_stand_in_conda(tmp_path / "bin", {"base": venv.parents[1], "captions": venv})
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "conda"


def test_a_folder_or_its_interpreter(venv, tmp_path, monkeypatch):
    by_folder = resolve_caption_env(str(venv), tmp_path)
    assert by_folder == resolve_caption_env(str(venv / "bin" / "python"), tmp_path)
    assert by_folder.python == venv / "bin" / "python"  # the link itself, not where it points
    assert by_folder.prefix == str(venv)
    assert by_folder.prefix != sys.prefix
    assert not by_folder.has_prefect
    monkeypatch.chdir(venv.parent)
    assert resolve_caption_env("captions", tmp_path) == by_folder


def test_default_is_the_built_one_else_the_running_one(venv, tmp_path):
    running = resolve_caption_env(None, tmp_path)
    assert running.python == Path(sys.executable)
    assert running.prefix == sys.prefix
    assert running.has_prefect
    (tmp_path / ".venv-caption").symlink_to(venv)
    assert resolve_caption_env(None, tmp_path).python == tmp_path / ".venv-caption" / "bin" / "python"


def test_a_conda_name(conda, venv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_caption_env("captions", tmp_path).prefix == str(venv)
    with pytest.raises(
        InputError, match=r"Caption environment 'nosuch' not found.*captions.*make caption-env"
    ) as error:
        resolve_caption_env("nosuch", tmp_path)
    assert "conda create -n nosuch" in str(error.value)
    with pytest.raises(InputError, match=r"holds no bin/python"):
        resolve_caption_env("base", tmp_path)


def test_the_stand_in_is_as_strict_as_conda(conda, venv):
    def run(*words):
        return subprocess.run([conda, *words], capture_output=True, text=True, timeout=60, check=False)

    told = run("run", "-n", "captions", "python", "-c", "import sys; print(sys.prefix)")
    assert (told.returncode, told.stdout.strip()) == (0, str(venv))
    assert (
        run("run", "-n", "captions", "--no-banner", "python", "-V").returncode == 2
    )  # the design's flag: there is none
    assert "Not a conda environment: nosuch" in run("run", "-n", "nosuch", "python", "-V").stderr
    assert run("run", "-n", "captions", "python", "-c", "raise SystemExit(7)").returncode == 7
    assert run("activate", "captions").returncode == 2


def test_a_failing_conda_is_reported(conda, tmp_path):
    conda.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    with pytest.raises(InputError, match=r"conda env list --json: failed"):
        resolve_caption_env("captions", tmp_path)


def test_no_conda_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"'caption_env' not found.*conda is not on PATH.*conda create -n caption_env"):
        resolve_caption_env("caption_env", tmp_path)


@pytest.mark.parametrize("spec", ["/nowhere/env", "./env"])
def test_missing_folders_are_not_sought_in_conda(conda, tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="found nothing at"):
        resolve_caption_env(spec, tmp_path)


def test_things_that_are_no_interpreter(tmp_path):
    text = tmp_path / "python"
    text.write_text("no program")
    with pytest.raises(InputError, match="does not work as a Python interpreter"):
        inspect_interpreter(text)
    text.write_text("#!/bin/sh\necho no module >&2\nexit 4\n")
    text.chmod(0o755)
    with pytest.raises(InputError, match=r"exit code 4 \(no module\)"):
        inspect_interpreter(text)
    facts = {"version": "3.9.18", "prefix": "/old", "modules": []}
    text.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    with pytest.raises(InputError, match=r"found Python 3\.9\.18; captions need 3\.10"):
        inspect_interpreter(text)


def test_conda_as_a_function_of_the_shell_is_found(conda, venv, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("CONDA_EXE", str(conda))
    assert resolve_caption_env("captions", tmp_path).prefix == str(venv)


def test_what_an_environment_says_by_itself_does_no_harm(tmp_path):
    python = tmp_path / "python"
    facts = {"version": "3.11.7", "prefix": "/env", "modules": ["yaml"]}
    python.write_text(f"#!/bin/sh\necho Welcome!\necho '{json.dumps(facts)}'\n")
    python.chmod(0o755)
    assert inspect_interpreter(python) == CaptionEnv(python, "/env", "3.11.7", frozenset({"yaml"}))


def test_an_interpreter_that_never_answers_is_cut(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(environment, "_LOOK_SECONDS", 0.3)
    with pytest.raises(InputError, match=r"python: no answer within 0 s; see --caption_env$"):
        inspect_interpreter(python)


def test_missing_modules_are_listed_with_the_command(tmp_path, venv):
    bare = resolve_caption_env(str(venv), tmp_path)
    with pytest.raises(InputError, match=r"lacks numpy, pillow, pyyaml, av .*-m pip install numpy pillow pyyaml av"):
        check_caption_env(bare, "palette")
    able = CaptionEnv(bare.python, bare.prefix, "3.10.0", frozenset({"numpy", "PIL", "yaml"}))
    check_caption_env(able, "palette", reads_videos=False)
    with pytest.raises(InputError, match="lacks av "):
        check_caption_env(able, "palette")
    check_caption_env(resolve_caption_env(None, tmp_path), "palette")


def test_versions_and_gpu_are_found_without_importing_torch(tmp_path):
    running = resolve_caption_env(None, tmp_path)
    assert running.versions["transformers"] == version("transformers")
    assert running.versions["torch"] == version("torch")
    assert running.capability is None or running.capability >= (3, 0)


def site_packages(venv: Path) -> Path:
    return next(venv.glob("lib/python*/site-packages"))


@pytest.mark.parametrize("cuda", ["'13.0'", "None"])
def test_the_gpu_counts_where_the_torch_there_can_use_it(tmp_path, monkeypatch, cuda):
    """A driver of our own making offers a GPU to a torch that was built for CUDA, or not."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a driver with")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=60)
    torch = site_packages(tmp_path / "env") / "torch"
    torch.mkdir()
    (torch / "__init__.py").write_text("raise ImportError('must not be imported')")
    (torch / "version.py").write_text(f"__version__ = '2.13.0'\ncuda = {cuda}\n")
    (tmp_path / "driver.c").write_text(DRIVER)
    command = [compiler, "-shared", "-fPIC", "-o", tmp_path / "libcuda.so.1", tmp_path / "driver.c"]
    subprocess.run(command, check=True, timeout=60)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    found = resolve_caption_env(str(tmp_path / "env"), tmp_path)
    assert (found.capability, found.gpu_bytes) == (((8, 6), 24 * 2**30) if cuda != "None" else (None, 0))
    assert "torch" in found.modules


@pytest.mark.parametrize(
    ("capability", "wanted", "device"),
    [(None, "auto", "cpu"), (None, "cpu", "cpu"), ((9, 0), "auto", "cuda"), ((9, 0), "cpu", "cpu")],
)
def test_the_device_is_the_gpu_where_there_is_one(capability, wanted, device):
    env = CaptionEnv(Path("python"), "/env", "3.11.7", frozenset(), {"torch": "2.13.0+cpu"}, capability)
    assert caption_device(env, wanted) == device


def test_a_gpu_that_is_not_there_is_refused():
    env = CaptionEnv(Path("python"), "/env", "3.11.7", frozenset(), {"torch": "2.13.0+cpu"})
    with pytest.raises(InputError, match=r"torch 2\.13\.0\+cpu of /env has no GPU"):
        caption_device(env, "cuda")


def test_what_lies_in_the_present_folder_is_no_package_of_the_environment(venv, tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "yaml.py").write_text("")
    (tmp_path / "json.py").write_text("raise ImportError('a file of somebody else')")
    monkeypatch.chdir(tmp_path)
    assert resolve_caption_env(str(venv), tmp_path).modules == frozenset()


def test_a_folder_left_of_an_uninstalled_package_is_no_package(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=60)
    (site_packages(tmp_path / "env") / "transformers" / "__pycache__").mkdir(parents=True)
    assert resolve_caption_env(str(tmp_path / "env"), tmp_path).modules == frozenset()


def test_of_two_installations_the_first_on_the_path_counts(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=60)
    site, older = site_packages(tmp_path / "env"), tmp_path / "older"
    for folder, number in ((site, "5.23.0"), (older, "4.30.0")):
        info = folder / f"transformers-{number}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: Transformers\nVersion: {number}\n")
    (site / "older.pth").write_text(f"{older}\n")
    assert resolve_caption_env(str(tmp_path / "env"), tmp_path).versions == {"transformers": "5.23.0"}


def test_environments_can_be_members_of_sets(tmp_path):
    assert len({resolve_caption_env(None, tmp_path), resolve_caption_env(None, tmp_path)}) == 1


def test_our_own_packages_do_not_leak_in(venv, tmp_path, monkeypatch):
    package = tmp_path / "prefect.py"
    package.write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "prefect" not in resolve_caption_env(str(venv), tmp_path).modules
