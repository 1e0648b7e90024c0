"""Finds the interpreter that captions, and looks at what it can do before any work starts (stdlib only)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.captioner.backend import BACKEND_MODULES
from lib.errors import InputError
from lib.runtime.user_folders import expanded

DEFAULT_FOLDER = ".venv-caption"
OLDEST_PYTHON = (3, 10)
_LOOK_SECONDS = 60.0
_MODULES = ("prefect", "pydantic", "torch", "transformers", "accelerate", "PIL", "yaml", "numpy", "av")
_PACKAGES = {"PIL": "pillow", "yaml": "pyyaml"}  # module -> name on PyPI where they differ
_LOOK = Path(__file__).with_name("look.py")


@dataclass(frozen=True)
class CaptionEnv:
    """An interpreter that captions can run in."""

    python: Path
    prefix: str  # its sys.prefix
    version: str  # of Python, such as "3.10.13"
    modules: frozenset[str]  # of those that matter here, the ones it can import
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)  # of its packages, by name in lower case
    capability: tuple[int, int] | None = None  # compute capability of the first GPU that its torch can use
    gpu_bytes: int = 0  # all memory of that GPU

    @property
    def has_prefect(self) -> bool:
        """Whether it can run a flow run of its own; else it answers as a resident child."""
        return {"prefect", "pydantic"} <= self.modules


def resolve_caption_env(spec: str | None, project_root: Path) -> CaptionEnv:
    """The caption environment that `--caption_env` names.

    Args:
        spec: conda environment name, folder of an environment, or path of an interpreter. None: `.venv-caption` in the
            project if it is built, else the running interpreter.

    Raises:
        InputError: there is no such environment (with the commands that create it), or it cannot run.
    """
    return inspect_interpreter(_interpreter(spec, project_root))


def inspect_interpreter(python: Path) -> CaptionEnv:
    """What an interpreter is and can import; nothing heavy is imported.

    Raises:
        InputError: it does not start, does not answer in time, or is too old.
    """
    facts = _facts(python)
    gpu = facts.get("gpu") or {"capability": (), "bytes": 0}
    env = CaptionEnv(
        python,
        facts["prefix"],
        facts["version"],
        frozenset(facts["modules"]),
        facts.get("versions", {}),
        tuple(gpu["capability"]) or None,
        gpu["bytes"],
    )
    if tuple(int(part) for part in env.version.split(".")[:2]) < OLDEST_PYTHON:
        raise InputError(f"{python}: found Python {env.version}; captions need 3.10 or newer")
    return env


def check_caption_env(env: CaptionEnv, backend: str) -> None:
    """Refuse an environment that lacks what a backend needs. Pictures are prepared for it, so that it needs no PyAV.

    Raises:
        InputError: what is missing, and the command that installs it.
    """
    missing = [_PACKAGES.get(module, module) for module in BACKEND_MODULES[backend] if module not in env.modules]
    if missing:
        raise InputError(
            f"Caption environment {env.prefix} lacks {', '.join(missing)} (needed by the caption backend {backend!r}). "
            f"Install with: {env.python} -m pip install {' '.join(missing)}"
        )


def caption_device(env: CaptionEnv, wanted: str) -> str:
    """ "cuda" or "cpu", as the model will find it in the environment.

    Args:
        wanted: "auto", "cuda" or "cpu".

    Raises:
        InputError: a GPU is wanted, and the environment's torch has none.
    """
    if wanted == "cuda" and env.capability is None:
        raise InputError(
            f"the caption device is cuda, and torch {env.versions.get('torch', '(none)')} of {env.prefix} has no GPU; "
            "choose cpu or auto, install torch's CUDA build there, or mend the driver"
        )
    return "cuda" if wanted != "cpu" and env.capability is not None else "cpu"


def clean_environment() -> dict[str, str]:
    """Our environment variables without those that would tie another interpreter to our packages."""
    ours = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def _interpreter(spec: str | None, project_root: Path) -> Path:
    if spec is None:
        built = _python_in(project_root / DEFAULT_FOLDER)
        return built or Path(sys.executable)
    path = expanded(Path(spec)).absolute()  # never resolved: a venv's python is a link, and the link is what counts
    if path.is_file():
        return path
    if path.is_dir() and (python := _python_in(path)):
        return python
    if os.sep in spec or spec.startswith(("~", ".")):
        found = "a folder without bin/python" if path.is_dir() else "nothing"
        raise _not_found(spec, f"found {found} at {path}")
    return _conda_interpreter(spec)


def _facts(python: Path) -> dict[str, Any]:
    command = [str(python), str(_LOOK), *_MODULES]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LOOK_SECONDS, check=False, env=clean_environment()
        )
        facts = json.loads(done.stdout.strip().rpartition("\n")[2]) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        raise InputError(f"{python}: no answer within {_LOOK_SECONDS:.0f} s; see --caption_env") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{python}: does not work as a Python interpreter ({error}); see --caption_env") from None
    if facts is None:
        said = done.stderr.strip().splitlines()
        raise InputError(f"{python}: ended with exit code {done.returncode} ({said[-1] if said else 'nothing said'})")
    return facts


def _python_in(folder: Path) -> Path | None:
    python = folder / "bin" / "python"
    return python if python.is_file() else None


def _conda_interpreter(name: str) -> Path:
    conda = shutil.which("conda") or shutil.which(os.environ.get("CONDA_EXE", "")) or shutil.which("mamba")
    if conda is None:  # CONDA_EXE is set where conda is a function of the shell
        raise _not_found(name, "there is no folder of that name here, and conda is not on PATH")
    folders = [Path(folder) for folder in _conda_folders(conda)]
    named = [folder for folder in folders if folder.name == name and folder.parent.name == "envs"]
    named += [folder for folder in folders if folder.name == name and folder not in named]
    if name == "base" and folders:
        named.append(folders[0])
    if not named:
        known = ", ".join(sorted(folder.name for folder in folders)) or "none"
        raise _not_found(name, f"conda knows: {known}")
    python = _python_in(named[0])
    if python is None:
        raise _not_found(name, f"{named[0]} holds no bin/python; conda install -n {name} python=3.11")
    return python


def _conda_folders(conda: str) -> list[str]:
    command = [conda, "env", "list", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LOOK_SECONDS, check=True)
        listed: Any = json.loads(done.stdout)
        return [str(folder) for folder in listed["envs"]]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{' '.join(command)}: failed ({error}); give --caption_env a folder or interpreter") from None


def _not_found(spec: str, found: str) -> InputError:
    name = spec if os.sep not in spec and not spec.startswith(("~", ".")) else "caption_env"
    return InputError(
        f"Caption environment '{spec}' not found ({found}). Please create it: `make caption-env` builds "
        f"{DEFAULT_FOLDER}, the default; or `conda create -n {name} python=3.11`, then `conda run -n {name} pip "
        "install -r deployments/caption-env/requirements.txt`. --caption_env takes a conda environment name, a folder "
        "or an interpreter."
    )
