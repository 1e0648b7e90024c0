"""The resident child. A named pipe in place of a picture makes a job that never ends, so that it can be disturbed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lib.captioner.backend import CaptionerOptions
from lib.captioner.caption_job import PreparedPicture
from lib.captioner.resident_client import CaptionError, ResidentCaptioner
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def endless_job(job, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    prepared = (PreparedPicture(str(pipe), str(pipe), 0),)
    return replace(job, name="endless", output_yaml=str(tmp_path / "endless.yaml"), prepared=prepared)


@pytest.fixture
def resident():
    with ResidentCaptioner(Path(sys.executable), ROOT) as client:
        yield client


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_answers_many_jobs_in_one_process_of_its_own(resident, job, tmp_path):
    assert resident.starts == 0  # nothing runs before the first job
    first = resident.ask(job.to_dict(), timeout=60)
    second = resident.ask(replace(job, output_yaml=str(tmp_path / "two.yaml")).to_dict(), timeout=60)
    assert (first["status"], first["name"]) == ("written", "scene")
    assert first["process"]["pid"] == second["process"]["pid"] == resident.ready["pid"] != os.getpid()
    assert resident.ready["executable"] == sys.executable
    assert resident.ready["load_seconds"] >= 0
    assert resident.starts == 1
    assert os.getpgid(resident.ready["pid"]) == os.getpgid(0)
    resident.close()
    assert not is_alive(resident.ready["pid"])


def test_a_failing_job_fails_alone(resident, job):
    with pytest.raises(InputError, match="/nowhere: not found"):
        resident.ask(replace(job, video_path="/nowhere").to_dict(), timeout=60)
    broken = {**job.to_dict(), "prepared": [{"picture": "/nowhere.png", "hole": "/nowhere.png", "frame_idx": 0}]}
    with pytest.raises(CaptionError, match=r"FileNotFoundError.*nowhere\.png"):
        resident.ask(broken, timeout=60)
    assert resident.ask(job.to_dict(), timeout=60)["status"] == "written"
    assert resident.starts == 1


def test_a_crash_costs_one_job(resident, job, endless_job):
    resident.ask(job.to_dict(), timeout=60)
    pid = resident.ready["pid"]
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(CaptionError, match=r"'endless'.*signal 9 \(SIGKILL\)"):
        resident.ask(endless_job.to_dict(), timeout=60)
    assert resident.ask(replace(job, force=True).to_dict(), timeout=60)["status"] == "written"
    assert resident.starts == 2
    os.kill(resident.ready["pid"], signal.SIGKILL)  # between two jobs: nobody notices
    wait_until(lambda: resident._child.process.poll() is not None)
    assert resident.ask(replace(job, force=True).to_dict(), timeout=60)["status"] == "written"
    assert resident.starts == 3


def test_a_hang_is_cut(resident, job, endless_job):
    resident.ask(job.to_dict(), timeout=60)
    pid = resident.ready["pid"]
    with pytest.raises(CaptionError, match=r"'endless'.*within 0\.3 s"):
        resident.ask(endless_job.to_dict(), timeout=0.3)
    assert not is_alive(pid)
    assert resident.ask(replace(job, force=True).to_dict(), timeout=60)["status"] == "written"


def test_a_child_that_cannot_start_says_its_last_words(job, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").write_text("raise RuntimeError('this lib is broken')\n")
    with (
        ResidentCaptioner(Path(sys.executable), tmp_path) as client,
        pytest.raises(CaptionError, match=r"exit code 1; its last lines: .*this lib is broken"),
    ):
        client.ask(job.to_dict(), timeout=60)
    with ResidentCaptioner(Path("/nowhere/python"), ROOT) as client, pytest.raises(InputError, match="/nowhere/python"):
        client.ask(job.to_dict(), timeout=60)
    with (
        ResidentCaptioner(Path(sys.executable), ROOT, CaptionerOptions("nosuch")) as client,
        pytest.raises(InputError, match=r"'nosuch'.*palette"),
    ):
        client.ask(job.to_dict(), timeout=60)


def test_what_cannot_be_loaded_is_loaded_once(job):
    with ResidentCaptioner(Path(sys.executable), ROOT, CaptionerOptions("nosuch")) as client:
        for _ in range(3):
            with pytest.raises(InputError, match=r"'nosuch'"):
                client.ask(job.to_dict(), timeout=60)
        assert client.starts == 1


def test_three_crashes_in_a_row_are_enough(resident, job, endless_job):
    def crash():
        with pytest.raises(CaptionError, match=r"within 0\.2 s"):
            resident.ask(endless_job.to_dict(), timeout=0.2)

    crash()
    crash()
    resident.ask(job.to_dict(), timeout=60)
    for _ in range(3):
        crash()
    with pytest.raises(CaptionError, match=r"after 3 failures in a row; the last: job 'endless'"):
        resident.ask(job.to_dict(), timeout=60)
    assert resident.starts == 5


def test_a_process_that_has_lost_its_gpu_is_replaced(resident, job, tmp_path):
    """An error as torch words it, here from the name of a file."""
    lost = tmp_path / "CUDA error: device-side assert triggered.png"
    broken = {**job.to_dict(), "prepared": [{"picture": str(lost), "hole": str(lost), "frame_idx": 0}]}
    with pytest.raises(CaptionError, match="CUDA error"):
        resident.ask(broken, timeout=60)
    assert not is_alive(resident.ready["pid"])
    assert resident.ask(job.to_dict(), timeout=60)["status"] == "written"
    assert resident.starts == 2


def test_the_child_ends_with_its_parent_in_the_middle_of_a_job(endless_job):
    program = (
        "import json, sys; from pathlib import Path; from lib.captioner.resident_client import ResidentCaptioner\n"
        "client = ResidentCaptioner(Path(sys.executable), Path(sys.argv[1]))\n"
        "client._running_child(); print(client.ready['pid'], flush=True)\n"
        "client.ask(json.loads(sys.argv[2]), timeout=60)"
    )
    command = [sys.executable, "-c", program, str(ROOT), json.dumps(endless_job.to_dict())]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.3)
        parent.kill()
        parent.wait()
        wait_until(lambda: not is_alive(child), seconds=5)


def test_what_libraries_print_does_not_break_the_answers(job):
    program = (
        "import os, sys; from lib.captioner import palette, resident\n"
        "describe = palette.PaletteCaptioner.describe\n"
        "def noisy(self, pictures, crop=None):\n"
        "    print('Loading shards: 100%'); os.write(1, b'from C code\\n'); return describe(self, pictures)\n"
        "palette.PaletteCaptioner.describe = noisy\n"
        "sys.exit(resident.main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        input=json.dumps(job.to_dict()) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    ready, answer = (json.loads(line) for line in done.stdout.splitlines())
    assert ready["ready"]
    assert answer["ok"]
    assert "from C code" in done.stderr
    assert done.returncode == 0
