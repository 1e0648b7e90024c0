"""A program that behaves like conda where this project or a person meets it: `env list --json` and `run -n`."""

import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = """#!{python}
import json, os, subprocess, sys

ENVS = {envs!r}


def main(words):
    if words == ["--version"]:
        print("conda 24.9.2")
        return 0
    if words[:2] == ["env", "list"] and words[2:] in ([], ["--json"]):
        print(json.dumps({{"envs": list(ENVS.values())}}, indent=2) if words[2:] else listing())
        return 0
    if words[:1] == ["run"]:
        return run(words[1:])
    print(f"conda: error: argument COMMAND: invalid choice: {{' '.join(words[:1])!r}}", file=sys.stderr)
    return 2


def listing():
    return "\\n".join(["# conda environments:", "#", *(f"{{name:<22}} {{path}}" for name, path in ENVS.items())])


def run(words):
    live = "--no-capture-output" in words
    words = [word for word in words if word != "--no-capture-output"]
    if words[:1] not in (["-n"], ["--name"]) or len(words) < 3:
        print("usage: conda run [-n ENVIRONMENT] executable [args ...]", file=sys.stderr)
        return 2
    if words[2].startswith("-"):
        print(f"conda: error: unrecognized arguments: {{words[2]}}", file=sys.stderr)
        return 2
    if words[1] not in ENVS:
        print(f"EnvironmentLocationNotFound: Not a conda environment: {{words[1]}}", file=sys.stderr)
        return 1
    prefix = ENVS[words[1]]
    path = os.path.join(prefix, "bin") + os.pathsep + os.environ["PATH"]
    environment = {{**os.environ, "PATH": path, "CONDA_PREFIX": prefix, "CONDA_DEFAULT_ENV": words[1]}}
    done = subprocess.run(words[2:], env=environment, capture_output=not live, check=False)
    if not live:  # the real one, too, says everything at the end
        sys.stdout.buffer.write(done.stdout)
        sys.stderr.buffer.write(done.stderr)
    return done.returncode


sys.exit(main(sys.argv[1:]))
"""


def write_stand_in_conda(folder: Path, envs: Mapping[str, Path]) -> Path:
    """Write the program; returns the folder to put in front of PATH.

    Args:
        envs: name -> folder of each environment, in the order in which it lists them; the first is conda's own.
    """
    folder.mkdir(parents=True)
    program = folder / "conda"
    program.write_text(_PROGRAM.format(python=sys.executable, envs={name: str(path) for name, path in envs.items()}))
    program.chmod(0o755)
    return folder
