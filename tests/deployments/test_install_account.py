"""System units run as an account that is not root: it owns what it must and nothing that could make it root."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest
from install_support import root_box

from deployments.box.commands import Account, StepError, run
from deployments.install import main

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def as_root(monkeypatch) -> list[Path]:
    """This process takes itself for root's; what it has given away."""
    given: list[Path] = []

    def chown(path: Path, uid: int, gid: int, *, follow_symlinks: bool) -> None:
        assert (uid, gid, follow_symlinks) == (NOBODY.pw_uid, NOBODY.pw_gid, False)
        given.append(path)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", chown)
    return given


def test_what_the_account_owns(tmp_path, as_root):
    box = root_box(tmp_path / "root")
    assert box.install("--user", "nobody") == 0
    data = box.folder / "srv" / "auto-refine"
    folders = {
        box.paths.state_dir,
        box.paths.state_dir / "prefect",
        *(data / n for n in ("inbox", "outbox", "results")),
    }
    drafts = {box.paths.config_dir / f".{kind}.env.draft" for kind in ("client", "server")}
    assert set(as_root) == folders | drafts
    units = [unit.read_text().splitlines() for unit in box.paths.units_dir.iterdir()]
    assert all("User=nobody" in lines for lines in units)


def test_commands_run_as_the_account(tmp_path, as_root, monkeypatch):
    seen = {}

    def fake(command: list[str], **keywords: object) -> "subprocess.CompletedProcess[str]":
        seen.update(keywords, command=command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", fake)
    monkeypatch.setenv("PREFECT_API_KEY", "somebody-elses")
    run(["x"], Account.named("nobody"), cwd=tmp_path, env={"A": "b"})
    assert (seen["user"], seen["group"], seen["cwd"]) == (NOBODY.pw_uid, NOBODY.pw_gid, tmp_path)
    assert (seen["env"]["HOME"], seen["env"]["USER"], seen["env"]["A"]) == (NOBODY.pw_dir, "nobody", "b")
    assert "PREFECT_API_KEY" not in seen["env"]


def test_a_user_install_knows_no_other_account(tmp_path, capsys):
    box = root_box(tmp_path / "root")
    assert box.install("--scope", "user", "--user", "nobody") == 2
    assert "--user" in capsys.readouterr().err


def test_only_root_installs_for_the_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["--scope", "system"]) == 2
    assert "sudo" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "named"), [(["false"], "code 1"), (["/no/such/program"], "cannot be started")])
def test_a_command_that_fails_is_named(tmp_path, command, named):
    with pytest.raises(StepError, match=f"{command[0]}.*{named}"):
        run(command, Account.numbered(os.geteuid()), cwd=tmp_path)
