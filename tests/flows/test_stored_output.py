"""An output folder that an earlier version made: everything in it still counts, and nothing is made again."""

import json
import shutil
from pathlib import Path

import pytest
from stored.inputs import OUTPUT, lay_out
from stored.make import RUN_WORDS
from stored.pins import pin_versions

from flows.command_line import parse
from flows.launch import AUTO_REFINE
from flows.plan import make_plan
from lib.settings import AutoRefineSettings
from tasks.record_store import read_record, results_dir

# Written by every run.
REPORTS = {"summary.json", "caption_sheet.html", "report/index.html"}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stored inputs and output in another place, of which the words of the stored run speak."""
    folder = lay_out(tmp_path / "work")
    shutil.copytree(OUTPUT, folder / "output")
    pin_versions(monkeypatch)
    monkeypatch.chdir(folder)
    return folder


def contents(output: Path) -> dict[str, bytes]:
    """All files that are made once."""
    found = {
        str(path.relative_to(output)): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and ".prefect" not in path.parts
    }
    return {name: content for name, content in found.items() if name not in REPORTS}


def records(output: Path) -> set[str]:
    """The jobs that there are records of: phase, video and key."""
    found = [read_record(path) for path in results_dir(output).iterdir() if path.is_file()]
    return {f"{record.phase} of {record.video}: {record.key}" for record in found}


def test_nothing_of_an_earlier_versions_output_is_made_again(work: Path, run_flow) -> None:
    before, known = contents(work / "output"), records(work / "output")
    assert len(known) == 19  # 6 phases of 3 videos, and one comparison with a ground truth
    run = run_flow(list(RUN_WORDS))
    assert run.state.is_completed(), run.state.message
    assert run.executed() == set()
    assert run.summary.counts == {"done": 0, "cached": 3, "failed": 0, "skipped": 0}
    assert records(work / "output") - known == set()
    assert contents(work / "output") == before


def test_the_plan_finds_everything_done(work: Path) -> None:
    settings, _ = parse(list(RUN_WORDS), AUTO_REFINE.settings)
    assert isinstance(settings, AutoRefineSettings)
    steps = make_plan(settings)
    assert [step for step in steps if step.state != "cached"] == []
    assert {step.video for step in steps} == {"bear", "car", "clip"}


def test_metrics_of_the_earlier_version_are_shown(work: Path, run_flow) -> None:
    told = json.loads((OUTPUT / "summary.json").read_text(encoding="utf-8"))["metrics"]
    assert told["psnr"] == pytest.approx(run_flow(list(RUN_WORDS)).summary.metrics["psnr"])
