"""Files that a flag keeps, whoever made them: never replaced, and nothing of another result is shown beside them."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests_support import Dataset

from flows.command_line import parse
from flows.launch import STUDY
from flows.plan import make_plan
from lib.video.writer import write_clip


def foreign(path: Path) -> bytes:
    """Somebody else's result."""
    write_clip(path, np.full((6, 64, 96, 3), 90, np.uint8), Fraction(24))
    return path.read_bytes()


@pytest.mark.parametrize("captions", [True, False])
def test_a_study_keeps_a_foreign_phase_1_and_makes_its_own_variant_elsewhere(run_flow, dataset, tmp_path, captions):
    dataset.add("bear")
    out, prompt = tmp_path / "out", tmp_path / "prompt.yaml"
    prompt.write_text("prompt: [a quiet wall]")
    kept = foreign(out / "phase1" / "bear" / "propagation.mp4")
    study = ["--study", "ablation"] if captions else ["--study", "guidance", "--prompt_yaml", str(prompt)]
    words = [*dataset.flags(out), *study, "--skip_phase1_if_exists", "--no_metrics"]
    planned = {step.phase for step in make_plan(parse(words, STUDY.settings)[0]) if step.state == "to do"}
    run = run_flow(words, STUDY)
    assert run.video("bear").status == "done"
    assert (out / "phase1" / "bear" / "propagation.mp4").read_bytes() == kept
    made = {path.parent.parent.name for path in (out / "variants").glob("*/bear/propagation.mp4")}
    assert made and made <= planned
    assert ("baseline" in made) == captions


def test_a_comparison_with_a_kept_result_follows_the_mask(run_flow, dataset, tmp_path):
    dataset.add("bear")
    out = tmp_path / "out"
    words = [
        *dataset.flags(out),
        "--save_comparison",
        "--no_metrics",
        "--skip_phase1_if_exists",
        "--skip_phase3_if_exists",
    ]
    for folder in ("phase1", "final"):
        foreign(out / folder / "bear" / "propagation.mp4")
    comparison = out / "final" / "bear" / "comparison_4in1.mp4"
    run_flow(words)
    before = comparison.read_bytes()
    for path in (dataset.masks / "bear").iterdir():
        Image.fromarray(np.roll(np.array(Image.open(path)), 20, axis=0)).save(path)
    run = run_flow(words)
    assert run.statuses()["bear", "comparison"] == "done"
    assert comparison.read_bytes() != before


def test_a_kept_result_is_measured_itself_not_the_lossless_file_of_another(run_flow, dataset: Dataset, tmp_path):
    dataset.add("bear")
    out = tmp_path / "out"
    run_flow([*dataset.flags(out), "--lossless", "--no_metrics"])
    foreign(out / "final" / "bear" / "propagation.mp4")
    run_flow([*dataset.flags(out), "--lossless", "--skip_phase3_if_exists"])
    assert json.loads((out / "final" / "bear" / "metrics.json").read_text())["facts"]["measured"] == "propagation.mp4"
