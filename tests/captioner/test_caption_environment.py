import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from stand_in_conda import write_stand_in_conda

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
    assert running.prefix == sys.prefix
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


def test_our_own_packages_do_not_leak_in(venv, tmp_path, monkeypatch):
    package = tmp_path / "prefect.py"
    package.write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "prefect" not in resolve_caption_env(str(venv), tmp_path).modules
