"""Environments are made where they are missing, completed where they are out of date, else left alone."""

import os
import sys
from pathlib import Path

import pytest

from deployments.box.commands import Account, StepError
from deployments.box.environments import Environment, ensure, environments
from deployments.box.manifest import Manifest
from deployments.box.paths import BoxPaths
from deployments.box.uninstall import uninstall
from deployments.install import CHECKOUT

# `python -m venv FOLDER` puts a recorder of pip's calls into FOLDER/bin.
PYTHON = """#!/bin/sh
echo "$*" >> {calls}
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi
exit {code}
"""
US = Account.numbered(os.geteuid())


class Checkout:
    """A project's folder with its two lists, and an interpreter that records what it is asked to do."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "a checkout"
        listed = self.folder / "deployments" / "caption-env" / "requirements.txt"
        listed.parent.mkdir(parents=True)
        for path in (listed, self.folder / "pyproject.toml"):
            path.write_text("")
            os.utime(path, (1000, 1000))
        self._calls = folder / "calls"
        self._python = folder / "python"
        self.ends_with(0)
        monkeypatch.setattr(sys, "executable", str(self._python))
        self.paths = BoxPaths(*(folder / name for name in ("config", "units", "state")))

    def ends_with(self, code: int) -> None:
        self._python.write_text(PYTHON.format(calls=self._calls, code=code))
        self._python.chmod(0o755)

    def ensure(self) -> list[bool]:
        manifest = Manifest(self.paths, US)
        return [ensure(environment, manifest, US) for environment in self.both()]

    def both(self) -> tuple[Environment, Environment]:
        return environments(self.folder)

    def calls(self) -> list[str]:
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    return Checkout(tmp_path, monkeypatch)


def test_both_are_made_once_and_taken_away(checkout, capfd):
    main, caption = checkout.both()
    assert checkout.ensure() == [True, True]
    assert checkout.calls() == [
        f"-m venv {main.folder}",
        f"-m pip install --editable {checkout.folder}",
        f"-m venv {caption.folder}",
        f"-m pip install --requirement {caption.listed_in}",
    ]
    assert checkout.ensure() == [False, False]
    assert checkout.calls() == []
    uninstall(checkout.paths, US, None)
    assert sorted(path.name for path in checkout.folder.iterdir()) == ["deployments", "pyproject.toml"]


def test_a_changed_list_is_installed_again(checkout):
    checkout.ensure()
    checkout.calls()
    later = checkout.both()[0].folder.stat().st_mtime + 1000
    os.utime(checkout.folder / "pyproject.toml", (later, later))
    assert checkout.ensure() == [True, False]
    assert checkout.calls() == [f"-m pip install --editable {checkout.folder}"]


def test_those_of_make_are_used_and_never_taken_away(checkout):
    for environment in checkout.both():
        (environment.folder / "bin").mkdir(parents=True)
        environment.python.touch()
        (environment.folder / "installed").touch()
    assert checkout.ensure() == [False, False]
    assert checkout.calls() == []
    uninstall(checkout.paths, US, None)
    assert all(environment.python.exists() for environment in checkout.both())


def test_an_interrupted_installation_is_completed(checkout):
    checkout.ends_with(1)
    with pytest.raises(StepError, match="python3-venv"):
        checkout.ensure()
    checkout.ends_with(0)
    checkout.calls()
    (checkout.both()[0].folder / "bin" / "python").unlink()
    assert checkout.ensure() == [True, True]
    assert len(checkout.calls()) == 4
    uninstall(checkout.paths, US, None)
    assert not checkout.both()[0].folder.exists()


def test_the_lists_are_where_this_project_has_them():
    assert all(environment.listed_in.is_file() for environment in environments(CHECKOUT))
