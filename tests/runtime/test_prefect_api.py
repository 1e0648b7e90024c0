import http.server
import importlib.metadata
import json
import sqlite3
import threading

import pytest

from lib.runtime.api_client import ApiClient
from lib.runtime.database import ServerDatabase
from lib.runtime.login import Login
from lib.runtime.prefect_api import api_configured, embedded_environment, is_flow_process, wait_until_recorded

PROFILES = """
active = "lab"
[profiles.lab]
PREFECT_API_URL = "http://lab:4200/api"
[profiles.bare]
PREFECT_LOGGING_LEVEL = "DEBUG"
"""


@pytest.fixture
def clean_env(monkeypatch, tmp_path):
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("home/.prefect", "other"):
        (tmp_path / folder).mkdir(parents=True)
    return monkeypatch


@pytest.mark.parametrize(
    ("place", "variables", "expected"),
    [
        (None, {}, False),
        (None, {"PREFECT_API_URL": "http://x/api"}, True),
        ("home/.prefect", {}, True),
        ("home/.prefect", {"PREFECT_PROFILE": "bare"}, False),
        ("home/.prefect", {"PREFECT_PROFILE": "no such"}, False),
        ("home/.prefect", {"PREFECT_HOME": "other"}, False),
        ("other", {"PREFECT_HOME": "other"}, True),
        ("other", {"PREFECT_PROFILES_PATH": "other/profiles.toml"}, True),
    ],
)
def test_api_configured(clean_env, tmp_path, place, variables, expected):
    clean_env.chdir(tmp_path)
    if place is not None:
        (tmp_path / place / "profiles.toml").write_text(PROFILES)
    for name, value in variables.items():
        clean_env.setenv(name, value)
    assert api_configured() == expected


def test_broken_profiles_file_is_no_api(clean_env, tmp_path):
    (tmp_path / "home/.prefect/profiles.toml").write_text("active = ")
    assert not api_configured()


def test_the_users_own_settings_stay_outside(tmp_path):
    own = {"PREFECT_API_URL": "http://lab/api", "PREFECT_PROFILE": "lab", "PREFECT_API_KEY": "x", "NO_PROXY": "lab"}
    env = embedded_environment(tmp_path, {**own, "PREFECT_LOGGING_LEVEL": "DEBUG", "PATH": "/bin"})
    assert not {"PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_API_KEY"} & env.keys()
    assert (env["PREFECT_LOGGING_LEVEL"], env["PATH"], env["NO_PROXY"]) == ("DEBUG", "/bin", "127.0.0.1,localhost,lab")


@pytest.fixture
def counting_api():
    """An API whose task run counts (all, unfinished) go through a given list and then stay; also the answers given."""
    steps, given = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(b'{"token": "t"}')

        def do_POST(self):
            assert self.headers["Prefect-Csrf-Token"] == "t"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            step = steps[min(len(given) // 2, len(steps) - 1)]
            given.append(step["task_runs" in body])
            self.answer(str(given[-1]).encode())

        def answer(self, answer: bytes):
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ApiClient(server.server_port, Login.new()), steps, given
        server.shutdown()


@pytest.mark.parametrize(
    ("counts", "polls"),
    [
        ([(0, 0)], 2),
        ([(3, 3), (5, 2), (6, 0), (7, 0), (7, 0)], 5),
        ([(4, 1)], 7),  # one that was killed
    ],
)
def test_waits_until_nothing_more_is_recorded(counting_api, counts, polls):
    api, steps, given = counting_api
    steps += counts
    wait_until_recorded(api)
    assert len(given) == 2 * polls


def test_marker_of_the_flow_process(monkeypatch):
    monkeypatch.delenv("AUTO_REFINE_FLOW_PROCESS", raising=False)
    assert not is_flow_process()
    monkeypatch.setenv("AUTO_REFINE_FLOW_PROCESS", "1")
    assert is_flow_process()


def test_new_database_starts_from_the_template_of_this_release(tmp_path):
    first = ServerDatabase(tmp_path / "one.db", tmp_path / "cache")
    assert first.is_new
    assert not first.start_from_template()
    connection = sqlite3.connect(first.path)  # left open: a server that runs
    connection.execute("pragma journal_mode=wal")
    connection.execute("create table t as select 5 as x")
    connection.commit()
    first.keep_template()
    template = tmp_path / "cache" / f"prefect-{importlib.metadata.version('prefect')}.db"
    assert list(template.parent.iterdir()) == [template]

    second = ServerDatabase(tmp_path / "two.db", tmp_path / "cache")
    assert second.start_from_template()
    assert sqlite3.connect(second.path).execute("select x from t").fetchall() == [(5,)]
    old = ServerDatabase(tmp_path / "two.db", tmp_path / "cache")
    assert not old.is_new
    assert not old.start_from_template()


def test_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "cache").write_text("a file")
    database = ServerDatabase(tmp_path / "one.db", tmp_path / "cache")
    sqlite3.connect(database.path).close()
    database.keep_template()
