"""Killed processes: nothing is left running, nothing finished is lost, one video's death is its own."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from embedded_support import Command, kill, run_command, stored_records, wait_until
from tests_support import Dataset, write_frames

from flows.report import Summary
from lib.scenes import render_scene

NAMES = ("a", "b", "c")
LOCK = "results/locks/{}-*.lock"  # a task takes its key's when it begins
IN_PHASE = {"coarse": LOCK.format("coarse"), "caption": "captions/*/*/batch.json", "refine": LOCK.format("refine")}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = Dataset(tmp_path_factory.mktemp("kills"))
    scene = render_scene("pan", (120, 216), 20)
    for name in NAMES:
        write_frames(made.videos / name, scene.frames)
        write_frames(made.masks / name, scene.masks.astype("uint8") * 255)
    return made


def words(dataset: Dataset, out: Path) -> list[str]:
    return [*dataset.flags(out), "--max_workers", "2", "--no_metrics"]


def summary(out: Path) -> Summary:
    return Summary.model_validate_json((out / "summary.json").read_bytes())


def phase_statuses(out: Path) -> dict[tuple[str, str], str]:
    return {(video.name, phase.phase): phase.status for video in summary(out).videos for phase in video.phases}


@pytest.mark.parametrize("victim", ["launcher", "flow"])
def test_kill_9_in_each_phase_leaves_nothing_running_and_loses_nothing(dataset, tmp_path, victim):
    out = tmp_path / "out"
    for phase, pattern in IN_PHASE.items():
        command = Command(words(dataset, out), out)
        command.wait_for(pattern)
        kill(command.process.pid if victim == "launcher" else command.flow_pid())
        command.assert_nothing_left()
        command.wait(60)
        finished = {(record.video, record.phase) for record in stored_records(out)}
        assert {name for _, name in finished} <= set(IN_PHASE), phase
    rerun = run_command(words(dataset, out), out)
    assert rerun.process.returncode == 0, rerun.text()
    statuses = phase_statuses(out)
    assert {key for key, status in statuses.items() if status == "cached"} == finished
    assert set(statuses) == {(name, phase) for name in NAMES for phase in IN_PHASE}
    assert {(name, "coarse") for name in NAMES} | {(name, "caption") for name in NAMES} <= finished


def kill_one_at_work(command: Command, after: int = 0) -> int:
    """Wait for a process (not `after`) at work on phase 1 and kill it; its id."""
    locks = command.output_dir / ".prefect" / "results" / "locks"

    def look() -> int | None:
        for pid in command.stack():
            if pid != after and any(Path(path).match(f"{locks}/coarse-*.lock") for path in open_files(pid)):
                os.kill(pid, signal.SIGKILL)
                return pid
        return None

    pid = wait_until(look, 120)
    assert pid is not None, command.text()
    return pid


def open_files(pid: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for entry in Path("/proc", str(pid), "fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(entry.readlink()))
    return found


def test_a_killed_pool_process_costs_a_retry(dataset, tmp_path):
    out = tmp_path / "out"
    command = Command(words(dataset, out), out)
    kill_one_at_work(command)
    assert command.wait() == 0, command.text()
    assert summary(out).counts["done"] == 3


def test_the_second_death_of_a_video_fails_it_alone(dataset, tmp_path):
    out = tmp_path / "out"
    command = Command([*dataset.flags(out), "--max_workers", "1"], out)
    kill_one_at_work(command, after=kill_one_at_work(command))
    assert command.wait() == 1, command.text()
    told = summary(out)
    assert len(told.names("failed")) == 1
    assert "killed 2 times" in next(v.reason for v in told.videos if v.status == "failed")
    assert len(told.names("done")) == 2


def test_ctrl_c_ends_with_130_within_10_seconds(dataset, tmp_path):
    out = tmp_path / "out"
    command = Command(words(dataset, out), out)
    command.wait_for(IN_PHASE["coarse"])
    start = time.monotonic()
    os.killpg(command.process.pid, signal.SIGINT)
    assert command.wait(15) == 130
    assert time.monotonic() - start < 10
    command.assert_nothing_left(0.5)
