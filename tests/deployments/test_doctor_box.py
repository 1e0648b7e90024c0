"""An installed box as the doctor sees it: made-up files below a temporary folder, and a stand-in for systemctl."""

import json
from pathlib import Path

import pytest

from deployments.box.paths import BoxPaths
from deployments.checks import box
from deployments.checks.job import Job


@pytest.fixture
def paths(tmp_path) -> BoxPaths:
    """An installation for the whole machine, below another root."""
    paths = BoxPaths.for_root(tmp_path)
    for folder in (paths.config_dir, paths.units_dir, paths.state_dir):
        folder.mkdir(parents=True)
    paths.state_dir.chmod(0o700)
    for file in (paths.client_env, paths.server_env):
        file.write_text("PREFECT_API_AUTH_STRING=admin:hush\n")
        file.chmod(0o600)
    paths.manifest.write_text(json.dumps({"units": ["auto-refine-server.service"]}))
    for unit in ("server", "gpu-worker"):
        (paths.units_dir / f"auto-refine-{unit}.service").write_text("[Service]\n")
    return paths


@pytest.fixture(autouse=True)
def systemctl(tmp_path, monkeypatch) -> Path:
    """A `systemctl` that calls every unit active, until somebody writes another."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    says(program, "echo active")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def says(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def found(paths: BoxPaths | None) -> dict[str, tuple[str, str, str]]:
    findings = list(box.check_box(Job(box=paths, env={})))
    assert "hush" not in str(findings)
    return {finding.what: (finding.level, finding.found, finding.advice) for finding in findings}


def test_all_is_well(paths):
    assert {name: level for name, (level, _, _) in found(paths).items()} == {
        "installation": "ok",
        "environment of clients": "ok",
        "environment of the server": "ok",
        "state folder": "ok",
        "auto-refine-gpu-worker.service": "ok",
        "auto-refine-server.service": "ok",
    }


def test_nothing_installed_is_no_failure():
    assert found(None) == {"box": ("skip", "nothing is installed here (make gpu-box)", "")}


def test_secrets_that_others_may_read_fail(paths):
    paths.client_env.chmod(0o644)
    paths.state_dir.chmod(0o750)
    findings = found(paths)
    level, said, advice = findings["environment of clients"]
    assert level == "FAIL" and "mode 0644, expected 0600" in said and advice == f"chmod 600 {paths.client_env}"
    assert findings["state folder"][0] == "FAIL"
    assert findings["environment of the server"][0] == "ok"


def test_videos_and_results_that_others_may_read_are_told(paths, tmp_path):
    env = {"AUTO_REFINE_INBOX": str(tmp_path / "in"), "AUTO_REFINE_RESULTS": str(tmp_path / "results")}
    for folder, mode in (("in", 0o700), ("results", 0o755)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(mode)
    listed = {finding.what: finding for finding in box.check_box(Job(box=paths, env=env))}
    assert (listed["inbox"].level, listed["results"].level) == ("ok", "warn")
    assert listed["results"].advice == f"chmod 700 {tmp_path / 'results'}"
    assert "outbox" not in listed


def test_stricter_modes_are_fine(paths):
    paths.server_env.chmod(0o400)
    assert found(paths)["environment of the server"][0] == "ok"


def test_a_box_that_joined_another_has_no_server(paths):
    paths.server_env.unlink()
    assert "environment of the server" not in found(paths)
    paths.client_env.unlink()
    assert found(paths)["environment of clients"][0] == "FAIL"


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_record_fails(paths, content):
    paths.manifest.write_text(content)
    level, said, _ = found(paths)["installation"]
    assert level == "FAIL" and str(paths.manifest) in said


def test_a_unit_that_is_down_fails(paths, systemctl):
    says(systemctl, 'case "$2" in *server*) echo failed; exit 3;; esac; echo active')
    findings = found(paths)
    level, said, advice = findings["auto-refine-server.service"]
    assert (level, said) == ("FAIL", "failed")
    assert "`systemctl start auto-refine-server.service`" in advice and "journalctl -u" in advice
    assert findings["auto-refine-gpu-worker.service"][0] == "ok"


def test_a_users_units_are_asked_for_as_such(tmp_path, systemctl, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/somebody/.config")
    users = BoxPaths.for_user(tmp_path)
    users.units_dir.mkdir(parents=True)
    (users.units_dir / "auto-refine-server.service").write_text("[Service]\n")
    says(systemctl, '[ "$1" = --user ] && echo active || echo inactive')
    assert found(users)["auto-refine-server.service"][0] == "ok"


def test_a_systemd_that_cannot_be_asked_is_no_failure(paths, systemctl):
    says(systemctl, "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    assert found(paths)["auto-refine-server.service"][0] == "warn"


def test_without_units_the_installation_is_not_whole(paths, systemctl):
    for unit in paths.units_dir.iterdir():
        unit.unlink()
    assert found(paths)["auto-refine-server.service"][0] == "ok"  # recorded, and systemd says so
    paths.manifest.write_text("{}")
    assert found(paths)["units"][0] == "FAIL"


def test_without_systemctl_units_are_skipped(paths, systemctl, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert found(paths)["units"][0] == "skip"
