"""What is asked of systemd and in which order; systemctl, the server and its set-up are recorders here."""

import base64
import http.server
import os
import threading
from pathlib import Path

import pytest
from install_support import Box, user_box

# Answers as systemd would, writes down each call that changes something.
SYSTEMCTL = """#!/bin/sh
[ "$1" = --user ] && shift
state={state}
case "$1" in
  is-system-running) echo {running}; exit ;;
  is-enabled|is-active) test -e "$state/$1-$3"; exit ;;
  is-failed) exit 1 ;;
  enable) touch "$state/is-enabled-$3" "$state/is-active-$3" ;;
  disable) rm "$state/is-enabled-$3" "$state/is-active-$3" ;;
esac
echo "$*" >> "$state/calls"
"""
PYTHON = """#!/bin/sh
echo "python $*" >> {state}/calls
env > {state}/environment
exit {code}
"""
WORKERS = [f"auto-refine-{kind}-worker.service" for kind in ("gpu", "shard", "caption")]
UNITS = ["auto-refine-server.service", *WORKERS]


class Recorder:
    """A folder with the stand-ins and what they recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        self.python = folder / "bin" / "python-of-mine"
        self.says()

    def says(self, running: str = "running", code: int = 0) -> None:
        """What systemctl answers, and with what the server's set-up ends."""
        texts = {self.folder / "bin" / "systemctl": SYSTEMCTL, self.python: PYTHON}
        for path, text in texts.items():
            path.write_text(text.format(state=self.folder, running=running, code=code))
            path.chmod(0o755)

    def calls(self) -> list[str]:
        """What was called since this was last asked."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("reset-failed")]

    def environment(self) -> dict[str, str]:
        lines = (self.folder / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


class Api(http.server.BaseHTTPRequestHandler):
    """A server that takes one user:password."""

    auth = ""
    needs_auth = True

    def do_GET(self) -> None:
        given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        open_to_all = self.path == "/api/health" or not self.needs_auth
        self.send_response(200 if open_to_all or given == self.auth else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def recorder(tmp_path, monkeypatch) -> Recorder:
    recorder = Recorder(tmp_path / "recorder")
    monkeypatch.setenv("PATH", f"{recorder.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return recorder


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(Api, "auth", "admin:known")
    monkeypatch.setattr(Api, "needs_auth", True)
    with http.server.HTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def auth_file(tmp_path) -> Path:
    path = tmp_path / "auth"
    path.write_text("admin:known\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def box(tmp_path, monkeypatch, recorder, api, auth_file) -> Box:
    words = ("--port", str(api.server_port), "--python", str(recorder.python), "--auth_file", str(auth_file))
    return user_box(tmp_path / "home", monkeypatch, *words)


def test_the_server_comes_first_and_workers_after_its_set_up(box, recorder, capsys, monkeypatch):
    monkeypatch.setenv("PREFECT_PROFILE", "somebody-elses")
    assert box.install() == 0
    assert recorder.calls() == [
        "daemon-reload",
        f"enable --now {UNITS[0]}",
        "python -m deployments.server_setup",
        *(f"enable --now {unit}" for unit in WORKERS),
    ]
    environment = recorder.environment()
    assert box.client().items() <= environment.items()
    assert "PREFECT_PROFILE" not in environment
    said = capsys.readouterr().out
    assert f"UI: {box.client()['PREFECT_API_URL'].removesuffix('/api')}\n" in said
    assert str(box.paths.client_env) in said
    assert "known" not in said


def test_a_second_run_touches_no_unit(box, recorder):
    box.install()
    recorder.calls()
    assert box.install() == 0
    assert recorder.calls() == ["python -m deployments.server_setup"]


def test_only_units_that_read_something_new_are_restarted(box, recorder):
    box.install()
    client = box.paths.client_env
    client.write_text(client.read_text() + "CUDA_VISIBLE_DEVICES=1\n")
    recorder.calls()
    assert box.install() == 0
    setup = "python -m deployments.server_setup"
    assert recorder.calls() == [setup, *(f"restart {unit}" for unit in WORKERS)]
    unit = box.paths.units_dir / WORKERS[1]
    unit.write_text(unit.read_text() + "\n")  # by hand; it is written anew
    box.install()
    assert recorder.calls() == ["daemon-reload", setup]
    box.install("--database", "postgresql://refine@/refine")
    assert recorder.calls() == [f"restart {UNITS[0]}", setup]


def test_what_was_stopped_or_interrupted_is_started(box, recorder):
    recorder.says(code=1)
    assert box.install() == 1
    assert recorder.calls() == ["daemon-reload", f"enable --now {UNITS[0]}", "python -m deployments.server_setup"]
    recorder.says()
    assert box.install() == 0
    assert recorder.calls()[1:] == [f"enable --now {unit}" for unit in WORKERS]
    (recorder.folder / f"is-active-{WORKERS[2]}").unlink()
    box.install()
    assert recorder.calls()[1:] == [f"enable --now {WORKERS[2]}"]


def test_uninstall_stops_workers_before_the_server(box, recorder):
    before = box.tree()
    box.install()
    recorder.calls()
    for expected in [[*(f"disable --now {unit}" for unit in reversed(UNITS)), "daemon-reload"], []]:
        assert box.install("--uninstall") == 0
        assert recorder.calls() == expected
        assert box.tree() == before


def test_without_systemd_the_commands_are_printed(box, recorder, capsys):
    recorder.says(running="offline")
    assert box.install() == 3
    said = capsys.readouterr()
    assert "offline" in said.err
    assert f". {box.paths.server_env}; exec {recorder.python} -m deployments.api_server)" in said.out
    assert recorder.calls() == []
    assert box.mode(box.paths.client_env) == 0o600
    assert box.install("--uninstall") == 0
    assert not any(box.tree())


def test_files_only(box, recorder):
    assert box.install("--no_start") == 0
    assert recorder.calls() == []
    assert len(list(box.paths.units_dir.iterdir())) == 4


@pytest.mark.parametrize(
    ("auth", "needs_auth", "named"), [("admin:another", True, "401"), ("admin:known", False, "without a password")]
)
def test_somebody_elses_server_is_noticed(box, recorder, monkeypatch, capsys, auth, needs_auth, named):
    monkeypatch.setattr(Api, "auth", auth)
    monkeypatch.setattr(Api, "needs_auth", needs_auth)
    assert box.install() == 1
    assert named in capsys.readouterr().err
    assert not any(call.startswith("python") for call in recorder.calls())


def test_joining(box, recorder, api):
    url = f"http://127.0.0.1:{api.server_port}"
    assert box.install("--server", url) == 0
    assert recorder.calls() == [
        "daemon-reload",
        "python -m deployments.server_setup --joining",
        *(f"enable --now {unit}" for unit in WORKERS),
    ]
    assert not box.paths.server_env.exists()


def test_a_box_that_may_not_join_is_left_as_it_is(box, recorder, api, monkeypatch, capsys):
    before = box.tree()
    monkeypatch.setattr(Api, "auth", "admin:another")
    assert box.install("--server", f"http://127.0.0.1:{api.server_port}") == 1
    assert "--auth_file" in capsys.readouterr().err
    assert box.tree() == before
    assert recorder.calls() == []


def test_an_interpreter_of_ones_own_is_kept(box, recorder):
    box.install()
    recorder.calls()
    again = Box(box.folder, "user")
    assert again.install() == 0
    assert recorder.calls() == ["python -m deployments.server_setup"]


def test_an_environment_that_is_missing_is_said(box, capsys):
    assert box.install("--python", "/no/such/python") == 1
    assert "--python" in capsys.readouterr().err
