"""With a Prefect API configured, the command uses that server and the workers that poll it, and starts nothing."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from embedded_support import SCRIPT, stored_records
from fastapi.testclient import TestClient
from tests_support import Dataset

from lib.runtime.children import free_port


def test_the_pinned_server_answers_its_own_client():
    from prefect.server.api.server import create_app

    with TestClient(create_app(ephemeral=True)) as client:
        assert client.post("/api/flows/filter", json={"limit": None}).status_code == 200


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server and a caption worker of somebody's own; the environment of their client."""
    home = tmp_path_factory.mktemp("server")
    url = f"http://127.0.0.1:{free_port()}"
    host, port = url.removeprefix("http://").split(":")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    client_env = {**env, "PREFECT_API_URL": f"{url}/api", "PREFECT_WORKER_QUERY_SECONDS": "1"}
    app = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--host", host, "--port", port]
    worker = ["prefect", "worker", "start", "--pool", "caption-pool", "--type", "process"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", *app], env=env, stdout=log, stderr=log)
        _wait_until_healthy(f"{url}/api/health", home / "log")
        pool = subprocess.Popen([sys.executable, "-m", *worker], env=client_env, stdout=log, stderr=log)
        yield client_env
        for process in (pool, server):
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """A worker or server may take its time on a busy machine; how it ends is not what is tested here."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_healthy(url: str, log: Path) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=1).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_it_runs_on_that_server(environment, dataset: Dataset, tmp_path):
    dataset.add("bear")
    out = tmp_path / "out"
    command = [sys.executable, str(SCRIPT), *dataset.flags(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    phases = {record.phase for record in stored_records(out)}
    assert phases == {"coarse", "caption", "refine", "evaluate", "preview"}
    assert not (out / ".prefect" / "prefect.db").exists()
