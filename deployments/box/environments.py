"""The two Python environments in the checkout: made where missing, brought up to date where older than their list."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from deployments.box.commands import Account, StepError, run
from deployments.box.manifest import Manifest


@dataclass(frozen=True)
class Environment:
    """A virtual environment, the file that lists what belongs into it, and how pip is told.

    `stamps` are files in it that are written after an installation, the last one by us.
    """

    folder: Path
    listed_in: Path
    pip_words: tuple[str, ...]
    stamps: tuple[str, ...]

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def is_complete(self) -> bool:
        """Whether an installation has ended since the list was last changed, as make looks at it."""
        changed = self.listed_in.stat().st_mtime
        stamps = (self.folder / name for name in self.stamps)
        return self.python.exists() and any(stamp.exists() and stamp.stat().st_mtime >= changed for stamp in stamps)


def environments(checkout: Path) -> tuple[Environment, Environment]:
    """The main one and the captioner's; `make` stamps the main one after installing more than a box needs."""
    listed = checkout / "deployments" / "caption-env" / "requirements.txt"
    return (
        Environment(
            checkout / ".venv",
            checkout / "pyproject.toml",
            ("--editable", str(checkout)),
            ("installed", "installed-for-box"),
        ),
        Environment(checkout / ".venv-caption", listed, ("--requirement", str(listed)), ("installed",)),
    )


def ensure(environment: Environment, manifest: Manifest, account: Account) -> bool:
    """Make or complete the environment; whether there was anything to do.

    Raises:
        StepError: it cannot be made (what was half made is left for the next run).
    """
    if environment.is_complete():
        return False
    checkout = environment.folder.parent
    if not environment.folder.exists():
        manifest.add_tree(environment.folder)
    if "--editable" in environment.pip_words and not (checkout / "auto_refine.egg-info").exists():
        manifest.add_tree(checkout / "auto_refine.egg-info")
    if not environment.python.exists():
        _create(environment, account)
    run([environment.python, "-m", "pip", "install", *environment.pip_words], account, cwd=checkout)
    stamp = environment.folder / environment.stamps[-1]
    stamp.touch()
    account.own(stamp)
    return True


def _create(environment: Environment, account: Account) -> None:
    try:
        run([sys.executable, "-m", "venv", environment.folder], account, cwd=environment.folder.parent)
    except StepError as error:
        raise StepError(f"{error} (Debian, Ubuntu: apt install python3-venv)") from None
