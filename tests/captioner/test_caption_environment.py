import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from stand_in_conda import write_stand_in_conda

from lib.captioner import environment, look
from lib.captioner.environment import (
    CaptionEnv,
    caption_device,
    check_caption_env,
    inspect_interpreter,
    resolve_caption_env,
)
from lib.errors import InputError


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
    with pytest.raises(InputError, match=r"lacks numpy, pillow, pyyaml .*-m pip install numpy pillow pyyaml$"):
        check_caption_env(bare, "palette")
    able = CaptionEnv(bare.python, bare.prefix, "3.10.0", frozenset({"numpy", "PIL", "yaml"}))
    check_caption_env(able, "palette")
    check_caption_env(resolve_caption_env(None, tmp_path), "palette")


def test_versions_and_gpu_are_found_without_importing_torch(tmp_path):
    running = resolve_caption_env(None, tmp_path)
    assert running.versions["transformers"] == version("transformers")
    assert running.versions["torch"] == version("torch")
    assert running.capability is None or running.capability >= (3, 0)


def site_packages(venv: Path) -> Path:
    return next(venv.glob("lib/python*/site-packages"))


class Driver:
    """What the library of the GPU's driver answers, for one GPU or none."""

    def __init__(self, gpus=1, broken=0):
        self.gpus, self.broken = gpus, broken

    def cuInit(self, _flags):  # noqa: N802
        return self.broken

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self.gpus
        return 0

    def cuDeviceGet(self, device, number):  # noqa: N802
        device._obj.value = number + 7
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        value._obj.value = {75: 8, 76: 6}[attribute] if device.value == 7 else 0
        return 0

    def cuDeviceTotalMem_v2(self, size, device):  # noqa: N802
        size._obj.value = 24 * 2**30 if device.value == 7 else 0
        return 0


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        (Driver(), {"capability": [8, 6], "bytes": 24 * 2**30}),
        (Driver(gpus=0), None),
        (Driver(broken=100), None),
    ],
)
def test_the_driver_tells_of_the_gpu(driver, found):
    assert look.gpu(lambda _name: driver) == found


def test_without_a_driver_there_is_no_gpu():
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    assert look.gpu(missing) is None


@pytest.mark.parametrize(("cuda", "usable"), [("'13.0'", True), ("None", False)])
def test_torch_says_without_being_imported_whether_it_can_use_a_gpu(tmp_path, cuda, usable):
    (tmp_path / "__init__.py").write_text("raise ImportError('must not be imported')")
    (tmp_path / "version.py").write_text(f"__version__ = '2.13.0'\ncuda = {cuda}\n")
    assert look.built_for_cuda(str(tmp_path / "__init__.py")) is usable


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
