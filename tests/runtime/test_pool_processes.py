"""What a pool process is told at its start, and the leases of GPUs, in real process pools."""

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from probes import assert_all_gone, environment, marked_processes, start, wait_for

from lib.runtime.slots import Slot, current_gpu, init_worker, lease_dir

SPAWN = multiprocessing.get_context("spawn")


@pytest.mark.parametrize("gpu", [None, 0, 3])
def test_a_pool_process_knows_its_gpu(gpu):
    with ProcessPoolExecutor(1, SPAWN, init_worker, (gpu,)) as pool:
        assert pool.submit(current_gpu).result() == gpu
    assert current_gpu() is None


def test_pool_processes_end_with_their_parent(tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(
        "import time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from lib.runtime.slots import init_worker\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(2, get_context('spawn'), init_worker, (None,))\n"
        "    futures = [pool.submit(time.sleep, 60) for _ in range(2)]\n"
        "    time.sleep(60)\n"
    )
    parent = start([sys.executable, str(script)], env=environment("pool"))
    wait_for("pool", lambda: sum("spawn_main" in line for line in marked_processes("pool").values()) == 2, 15)
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    assert_all_gone("pool", 5)


def test_a_lease_ends_with_its_holder(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from lib.runtime.slots import Slot\n"
        "lease = Slot(1).lease(Path(sys.argv[1])); print('leased', flush=True); time.sleep(60)"
    )
    holder = start([sys.executable, "-c", script, str(tmp_path)], env=environment("lease"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "leased\n"
    assert Slot(1).lease(tmp_path) is None
    assert (tmp_path / "gpu1.0.lock").read_text() == f"{holder.pid}\n"
    with Slot(0).lease(tmp_path) or pytest.fail("another GPU"), Slot(1, 1).lease(tmp_path) or pytest.fail("a copy"):
        holder.kill()
        holder.wait()
        with wait_for("lease", lambda: Slot(1).lease(tmp_path), 5):
            assert Slot(1).lease(tmp_path) is None


def test_all_runs_of_a_machine_share_their_leases(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lease_dir().parent == Path(tmp_path, "auto-refine", "gpus")
    assert lease_dir().name  # of this machine, where a home folder serves several


def test_without_a_usable_cache_folder_leases_lie_elsewhere(monkeypatch, tmp_path):
    (tmp_path / "auto-refine").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lease_dir() == Path("/tmp", f"auto-refine-{os.getuid()}", "gpus")
