"""Killed processes: nothing is left running, nothing finished is lost, one video's death is its own."""

import json
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
IN_PHASE = {"coarse": "running/coarse/*.json", "caption": "captions/*/*/batch.json", "refine": "running/refine/*.json"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = Dataset(tmp_path_factory.mktemp("kills"))
    scene = render_scene("pan", (120, 216), 20)
    for name in NAMES:
        write_frames(made.videos / name, scene.frames)
        write_frames(made.masks / name, scene.masks.astype("uint8") * 255)
    return made


def words(dataset: Dataset, out: Path) -> list[str]:
    return [*dataset.flags(out), "--max_workers", "2"]


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


def killed_mark(command: Command, after: int = 0) -> dict:
    """Wait for a process (not `after`) at work on phase 1 and kill it; what it was working on."""

    def look() -> dict | None:
        for path in (command.output_dir / ".prefect" / "running" / "coarse").glob("*.json"):
            try:
                mark = json.loads(path.read_text())
                if mark["pid"] == after:
                    continue
                os.kill(mark["pid"], signal.SIGKILL)
            except (OSError, ValueError):
                continue
            return mark
        return None

    mark = wait_until(look, 120)
    assert mark is not None, command.text()
    return mark


def test_a_killed_pool_process_costs_a_retry(dataset, tmp_path):
    out = tmp_path / "out"
    command = Command(words(dataset, out), out)
    killed_mark(command)
    assert command.wait() == 0, command.text()
    assert summary(out).counts["done"] == 3


def test_the_second_death_of_a_video_fails_it_alone(dataset, tmp_path):
    out = tmp_path / "out"
    command = Command([*dataset.flags(out), "--max_workers", "1"], out)
    first = killed_mark(command)
    second = killed_mark(command, after=first["pid"])
    assert second["name"] == first["name"]
    assert command.wait() == 1, command.text()
    told = summary(out)
    assert told.names("failed") == [first["name"]]
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
