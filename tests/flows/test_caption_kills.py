"""A batch of five captions by a real model in a process of its own, stopped, killed and gone on with."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml
from embedded_support import Command, kill, run_command, wait_until
from tests_support import CAPTION, Dataset
from tiny_vlms import write_tiny_vlm

from flows.report import Summary

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command without its output directory."""
    folder = tmp_path_factory.mktemp("caption_kills")
    dataset = Dataset(folder / "data")
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
    model = write_tiny_vlm(folder / "Tiny-VL", says=CAPTION)
    flags = ["--caption_model_path", str(model), "--caption_source", "original", "--caption_timeout", "40"]
    return [*dataset.flags(folder)[:-2], *flags]


def run(words: list[str], out: Path) -> Command:
    return run_command([*words, "--output_dir", str(out)], out)


def stop_in_the_middle(words: list[str], out: Path) -> tuple[Command, int]:
    """Start the run, and stop its model's process in the middle of a video after the first; its process id."""
    command = Command([*words, "--output_dir", str(out)], out)
    assert wait_until(lambda: written(out) or None, 120), command.text()
    pid = next(pid for pid in command.stack() if "lib.captioner.resident" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)  # what was answered before is written, and the next video has begun
    assert len(written(out)) < len(NAMES)
    return command, pid


def written(out: Path) -> dict[str, int]:
    """Names of the prompt files that are there, and when they were written."""
    return {path.stem: path.stat().st_mtime_ns for path in (out / "prompt_cache").glob("*.yaml")}


def summary(out: Path) -> Summary:
    return Summary.model_validate_json((out / "summary.json").read_bytes())


def assert_goes_on(words: list[str], out: Path, before: dict[str, int]) -> None:
    """The next run leaves finished captions alone and makes the others."""
    rerun = run(words, out)
    assert rerun.process.returncode == 0, rerun.text()
    after = written(out)
    assert set(after) == set(NAMES)
    assert {name: after[name] for name in before} == before
    for path in (out / "prompt_cache").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["prompt"] == [CAPTION]


def test_a_killed_model_costs_the_video_it_was_working_on(words, tmp_path):
    out = tmp_path / "out"
    command, pid = stop_in_the_middle(words, out)
    kill(pid)
    assert command.wait() == 1, command.text()
    told = summary(out)
    (failed,) = told.names("failed")
    assert "signal 9 (SIGKILL)" in next(video.reason for video in told.videos if video.name == failed)
    assert set(written(out)) == set(NAMES) - {failed}


def test_a_killed_run_keeps_the_captions_that_it_wrote(words, tmp_path):
    out = tmp_path / "out"
    command, _ = stop_in_the_middle(words, out)
    command.process.kill()
    command.assert_nothing_left()
    before = written(out)
    assert 1 <= len(before) < len(NAMES)
    assert not (out / "summary.json").exists()
    assert_goes_on(words, out, before)


def test_a_hanging_model_is_cut_at_the_time_limit(words, tmp_path):
    out = tmp_path / "out"
    command, _ = stop_in_the_middle([*words, "--caption_timeout", "4"], out)
    assert command.wait() == 1, command.text()
    told = summary(out)
    (failed,) = told.names("failed")
    assert "no answer from the captioner within 4 s" in next(v.reason for v in told.videos if v.name == failed)
    assert set(written(out)) == set(NAMES) - {failed}
    assert json.loads((out / "summary.json").read_text())["counts"]["done"] == len(NAMES) - 1
