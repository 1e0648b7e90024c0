"""Slots and marks in real process pools."""

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from probes import assert_all_gone, environment, marked_processes, start, wait_for

from lib.runtime.file_lock import try_lock
from lib.runtime.running import forget_running, mark_running, running_names
from lib.runtime.slots import current_slot, init_worker, notice_dead_processes

SPAWN = multiprocessing.get_context("spawn")
NAMES = ["plain", "zwei Wörter/../x", "n" * 300]


def slot_and_pid(delay):
    time.sleep(delay)
    return current_slot(), os.getpid()


def work_under_mark(folder, name, die):
    with mark_running(folder, name):
        if die:
            wait_for("the others", lambda: len(list(folder.glob("*.json"))) == 2, 20)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


def test_every_pool_process_has_a_slot_of_its_own(tmp_path):
    with ProcessPoolExecutor(2, SPAWN, init_worker, (2, tmp_path)) as pool:
        found = {pid: slot for slot, pid in pool.map(slot_and_pid, [1.0, 1.0, 0.1])}
        assert sorted(found.values()) == [0, 1]
        assert try_lock(tmp_path / "gpu0.lock") is None
    freed = try_lock(tmp_path / "gpu0.lock")
    assert freed is not None
    freed.release()
    with ProcessPoolExecutor(1, SPAWN, init_worker, (0, tmp_path)) as pool:
        assert pool.submit(slot_and_pid, 0).result()[0] is None


def test_pool_processes_end_with_their_parent(tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(
        "import sys, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from lib.runtime.slots import init_worker\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(2, get_context('spawn'), init_worker, (0, sys.argv[1]))\n"
        "    futures = [pool.submit(time.sleep, 60) for _ in range(2)]\n"
        "    time.sleep(60)\n"
    )
    parent = start([sys.executable, str(script), str(tmp_path)], env=environment("pool"))
    wait_for("pool", lambda: sum("spawn_main" in line for line in marked_processes("pool").values()) == 2, 15)
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    assert_all_gone("pool", 5)


def test_only_the_killed_process_leaves_its_mark(tmp_path):
    with ProcessPoolExecutor(2, SPAWN, init_worker, (0, tmp_path)) as pool:
        futures = [pool.submit(work_under_mark, tmp_path, name, name == NAMES[1]) for name in NAMES[:2]]
        wait_for("mark left behind", lambda: running_names(tmp_path), 20)
        notice_dead_processes(pool)
        for future in futures:
            with pytest.raises(BrokenProcessPool):
                future.result(30)
    assert running_names(tmp_path) == [NAMES[1]]
    forget_running(tmp_path, NAMES[1])
    forget_running(tmp_path, NAMES[1])
    assert running_names(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_mark_of_a_living_process_does_not_count(tmp_path, name):
    with mark_running(tmp_path / "marks", name):
        assert running_names(tmp_path / "marks") == []
        assert len(list((tmp_path / "marks").iterdir())) == 1
    assert list((tmp_path / "marks").iterdir()) == []
    assert list(tmp_path.iterdir()) == [Path(tmp_path / "marks")]


def test_mark_of_a_reused_process_id_counts(tmp_path):
    (tmp_path / "0.json").write_text(f'{{"name": "a", "pid": {os.getpid()}, "start": 1}}')
    assert running_names(tmp_path) == ["a"]
