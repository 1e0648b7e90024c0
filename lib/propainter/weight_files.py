"""The three published weight files: their names, and whether they are there and whole.

Nothing here imports torch, which takes seconds: a plan, and the check before a run, need only this.
"""

import zipfile
from pathlib import Path

from lib.errors import InputError

RAFT_FILE = "raft-things.pth"
FLOW_COMPLETION_FILE = "recurrent_flow_completion.pth"
GENERATOR_FILE = "ProPainter.pth"
FILES = (RAFT_FILE, FLOW_COMPLETION_FILE, GENERATOR_FILE)
SOURCE = "release v0.1.0 of the repository sczhou/ProPainter (licence: NTU S-Lab 1.0, non-commercial)"


def check_model_dir(model_dir: Path) -> None:
    """See that the three files are there and look like checkpoints; reads only their ends.

    Raises:
        InputError: what is missing or damaged, and where to get it.
    """
    if not model_dir.is_dir():
        raise InputError(f"{model_dir}: no such folder; it should hold {', '.join(FILES)} from {SOURCE}")
    if missing := [name for name in FILES if not (model_dir / name).is_file()]:
        raise InputError(f"{model_dir}: {', '.join(missing)} missing; get what is missing from {SOURCE}")
    for name in FILES:
        _check_looks_whole(model_dir / name)


def _check_looks_whole(path: Path) -> None:
    """The files are zip archives (or, from old versions of torch, pickles that start with a protocol mark)."""
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK" and zipfile.is_zipfile(path):
        return
    if start[:1] != b"\x80":
        raise damaged(path, f"{path.stat().st_size} bytes that are no whole checkpoint")


def damaged(path: Path, found: object) -> InputError:
    """The error for a file that is no whole checkpoint; `found` says why."""
    return InputError(f"{path}: cannot be read as a checkpoint ({found}); download it again from {SOURCE}")
