"""The embedded stack with a small script in the place of the flow. Each start costs seconds, so few and full tests."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from probes import assert_all_gone, environment, marked_processes, python, start, wait_for

SCRIPT = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from lib.runtime.api_client import ApiClient
from lib.runtime.login import Login
from lib.runtime.launcher import api_configured, is_flow_process, run_embedded, wait_for_stack

folder, mode = Path(sys.argv[1]), sys.argv[2]
if not is_flow_process():
    assert not api_configured()
    options = {"pools": ("test-pool",), "keep_ui": mode == "ui", "early_flow": mode == "runs"}
    sys.exit(run_embedded(folder / ".prefect", sys.argv, **options))
if mode == "runs":
    wait_for_stack()

api = ApiClient(int(os.environ["PREFECT_API_URL"].split(":")[2].removesuffix("/api")),
                Login(os.environ["PREFECT_API_AUTH_STRING"]))

def call(path, **body):
    return api.post(path.removeprefix("/"), body)

def states(kind):
    return {run["name"]: run["state_type"] for run in call(f"/{kind}/filter")}

signal.signal(signal.SIGINT, lambda *_: print("SIGINT in the flow", flush=True))
if mode != "obey":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
pool_like = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
report = {"pid": os.getpid(), "flow_runs": states("flow_runs"), "task_runs": states("task_runs")}
report |= {name: os.environ.get(name) for name in ("PREFECT_API_URL", "PREFECT_HOME", "TMPDIR")}
workers = []
while not workers:
    time.sleep(0.1)
    if any(pool["name"] == "test-pool" for pool in call("/work_pools/filter")):
        workers = call("/work_pools/test-pool/workers/filter")
report["worker"] = workers[0]["status"]
if mode == "runs":
    flow = call("/flows/", name="f")["id"]
    for state in ("RUNNING", "SCHEDULED", "COMPLETED", "CANCELLING"):
        run = call("/flow_runs/", name=state, flow_id=flow, state={"type": state})["id"]
        call("/task_runs/", name=state, flow_run_id=run, task_key="t", dynamic_key="0", state={"type": state})
(folder / "report.json.new").write_text(json.dumps(report))
(folder / "report.json.new").rename(folder / "report.json")
while not (folder / "go").exists():
    time.sleep(0.1)
pool_like.kill()
sys.exit(7)
"""


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        return answer.read()


class Launch:
    """A launcher under test; output folder, home and cache are shared by the tests of this file."""

    def __init__(self, root: Path, mode: str) -> None:
        self.mark = f"launcher-{mode}"
        self.results = root / "Ergebnis 1? #2 %41 – é"
        self.results.mkdir(exist_ok=True)
        for name in ("report.json", "go"):
            (self.results / name).unlink(missing_ok=True)
        self.script = root / "script.py"
        self.script.write_text(SCRIPT)
        self.mode = mode
        self.env = environment(self.mark, HOME=str(root / "home"), XDG_CACHE_HOME=str(root / "cache"))
        self.env = {name: value for name, value in self.env.items() if not name.startswith("PREFECT_")}
        self.output = (root / f"output-{mode}").open("w+")
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    @property
    def command(self) -> list[str]:
        return python(self.script, str(self.results), self.mode)

    def text(self) -> str:
        return Path(self.output.name).read_text()

    def report(self) -> dict:
        path = self.results / "report.json"
        wait_for(f"report; output: {self.text()}", lambda: path.exists() or self.process.poll() is not None, 90)
        assert path.exists(), self.text()
        print(f"{self.mode}: flow and worker are up after {time.monotonic() - self.begun:.1f} s")
        return json.loads(path.read_text())

    def end(self) -> int:
        """Exit code; asserts that it came within 10 s and that nothing is left."""
        code = self.process.wait(60)
        assert marked_processes(self.mark) == {}
        return code


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("launcher")
    (root / "home").mkdir()
    return root


@pytest.fixture
def launch(root):
    begun = []

    def begin(mode: str) -> Launch:
        begun.append(Launch(root, mode))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.wait()
        one.output.close()
        assert_all_gone(one.mark)
    assert list((root / "home").iterdir()) == []
    assert [path.name.startswith("prefect-") for path in (root / "cache" / "auto-refine").iterdir()] == [True]


def test_exit_code_ui_and_second_launcher(launch, root):
    one = launch("ui")
    report = one.report()
    state = one.results / ".prefect"
    assert (report["PREFECT_HOME"], report["TMPDIR"], report["worker"]) == (str(state), str(state / "tmp"), "ONLINE")
    second = start(one.command, env=one.env)
    assert second.wait(60) == 2
    message = second.stdout.read()
    assert str(one.results) in message
    assert str(one.process.pid) in message

    url = report["PREFECT_API_URL"].removesuffix("/api")
    assert one.text() == f"UI: {url} (login: see {state / 'client.env'})\n"
    assert b"<html" in get(url + "/").lower()
    settings = json.loads(get(url + "/ui-settings"))
    assert settings["api_url"] == "/api"
    (one.results / "go").touch()
    wait_for("last line", lambda: one.text().endswith(f"UI: {url} (Ctrl-C to stop)\n"), 10)
    assert get(url + "/api/health") == b"true"
    os.killpg(one.process.pid, signal.SIGINT)
    assert one.end() == 7
    assert {path.name for path in (state / "logs").iterdir()} == {"server.log", "worker.log"}
    assert {path.name for path in one.results.iterdir()} == {".prefect", "report.json", "go"}


def test_killed_launcher_leaves_nothing_and_the_next_marks_its_runs_crashed(launch):
    one = launch("runs")
    one.report()
    one.process.kill()
    assert_all_gone(one.mark)

    two = launch("pool")
    report = two.report()
    expected = {"RUNNING": "CRASHED", "SCHEDULED": "CRASHED", "CANCELLING": "CRASHED", "COMPLETED": "COMPLETED"}
    assert report["flow_runs"] == report["task_runs"] == expected
    os.kill(report["pid"], signal.SIGKILL)  # the flow process; the pool-like one ignores SIGTERM
    assert two.end() == 137
    assert two.text() == ""


def workers(mark: str) -> set[int]:
    lines = marked_processes(mark)
    return {pid for pid, line in lines.items() if "worker start" in line and "guard.py" not in line}


def test_dead_worker_is_replaced_and_ctrl_c_reaches_a_flow_that_ignores_it_once(launch):
    one = launch("ignore")
    one.report()
    (worker,) = workers(one.mark)
    os.kill(worker, signal.SIGKILL)
    wait_for("new worker", lambda: workers(one.mark) - {worker}, 5)
    os.killpg(one.process.pid, signal.SIGINT)
    assert one.end() == 130
    assert one.text() == "SIGINT in the flow\n"


def test_sigterm_is_forwarded(launch):
    one = launch("obey")
    one.report()
    begun = time.monotonic()
    one.process.terminate()
    assert one.end() == 143
    assert time.monotonic() - begun < 9
