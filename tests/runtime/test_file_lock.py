import subprocess
import sys

import pytest
from probes import environment

from lib.runtime.file_lock import try_lock
from lib.runtime.output_lock import OutputDirBusyError, OutputDirLock

HOLD = """
import subprocess, sys, time
from pathlib import Path
from lib.runtime.file_lock import try_lock
from lib.runtime.output_lock import OutputDirLock
path = Path(sys.argv[2])
lock = try_lock(path) if sys.argv[1] == "file" else OutputDirLock(path).__enter__()
child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid if lock else "busy", flush=True)
time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    processes = []

    def begin(kind, path):
        command = [sys.executable, "-c", HOLD, kind, str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment("lock"))
        processes.append((process, int(process.stdout.readline())))
        return process

    yield begin
    for process, child in processes:
        process.kill()
        process.wait()
        subprocess.run(["kill", "-9", str(child)], check=False)


def test_lock_excludes_and_is_freed_by_release(tmp_path):
    path = tmp_path / "new" / "a.lock"
    with try_lock(path) as lock:
        assert try_lock(path) is None
        lock.write("long text")
        lock.write("short")
        assert path.read_text() == "short"
    again = try_lock(path)
    assert again is not None
    again.release()
    again.release()


def test_lock_is_freed_by_kill_although_a_child_lives_on(tmp_path, hold):
    holder = hold("file", tmp_path / "a.lock")
    assert try_lock(tmp_path / "a.lock") is None
    holder.kill()
    holder.wait()
    assert try_lock(tmp_path / "a.lock") is not None


def test_busy_output_folder_names_folder_and_holder(tmp_path, hold):
    holder = hold("output", tmp_path / "results" / ".prefect")
    with pytest.raises(OutputDirBusyError) as error, OutputDirLock(tmp_path / "results" / ".prefect"):
        pass
    assert str(tmp_path / "results") in str(error.value)
    assert str(holder.pid) in str(error.value)
    holder.kill()
    holder.wait()
    with OutputDirLock(tmp_path / "results" / ".prefect"):
        pass
