"""Runs that measure their results: against a ground truth, without one, with networks, with files that do not fit."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metric_checkpoints import write_clip_model, write_i3d, write_lpips
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from tests_support import Dataset, moving_square, write_frames

from flows.command_line import parse
from flows.launch import REMOVE, main
from flows.plan import make_plan
from lib.metrics.evaluation import NO_TRUTH, TRUTH_IS_INPUT
from lib.video.clip import read_clip

NAMES = ("bear", "car")


@pytest.fixture
def two(dataset: Dataset) -> Dataset:
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
        write_frames(clean(dataset) / name, moving_square(seed, 6, 64, 96, with_object=False)[0])
    return dataset


def clean(data: Dataset) -> Path:
    return data.videos.parent / "clean"


def metrics(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / "final" / name / "metrics.json").read_text())


def test_ground_truth_is_measured_against_and_shown(two, run_flow, tmp_path):
    words = [*two.flags(tmp_path / "out"), "--gt_root", str(clean(two)), "--save_comparison"]
    run = run_flow(words)
    assert run.state.is_completed(), run.state.message
    for name in NAMES:
        told = metrics(run.output_dir, name)
        assert told["values"]["psnr_inside"] > 22
        assert told["definitions"]["psnr_inside"]["unit"] == "dB"
        assert run.video(name).metrics == told["values"]
        grid = read_clip(run.output_dir / "final" / name / "comparison_gt.mp4").frames
        assert grid.shape == (6, 128, 192, 3)
        truth = read_clip(clean(two) / name).frames.astype(int)
        assert np.abs(grid[:, 64:, :96].astype(int) - truth)[:, 24:].mean() < 10  # below the label
        assert grid[:, 88:, 96:].mean() < 60  # small differences, even four times as strong
    means = {key: np.mean([run.video(name).metrics[key] for name in NAMES]) for key in run.video("bear").metrics}
    assert run.summary.metrics == pytest.approx(means)
    assert run_flow(words).executed() == set()
    assert {step.state for step in make_plan(parse(words)[0])} == {"cached"}


def test_the_page_is_written_and_linked(two, run_flow, tmp_path):
    run = run_flow(two.flags(tmp_path / "out"))
    page = run.output_dir / "report" / "index.html"
    assert all(name in page.read_text() for name in NAMES)
    with get_client(sync_client=True) as client:
        of_this_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.state.state_details.flow_run_id]))
        artifacts = client.read_artifacts(artifact_filter=of_this_run)
    assert any(page.as_uri() in str(artifact.data) for artifact in artifacts)
    for name in NAMES:
        media = run.output_dir / "report" / "media" / name
        assert read_clip(media / "source.mp4").frames.shape == (6, 64, 96, 3)
        assert {path.name for path in media.iterdir()} == {"source.mp4", "mask.mp4", "thumbnail.jpg"}


def test_the_video_itself_as_ground_truth_scores_nothing_in_the_hole(two, run_flow, tmp_path):
    """As in the design's own commands."""
    words = [*two.flags(tmp_path / "out"), "--gt_root", str(two.videos), "--save_comparison"]
    out = run_flow(words).output_dir
    told = metrics(out, "bear")
    assert told["unavailable"]["psnr_inside"] == TRUTH_IS_INPUT
    assert told["values"]["psnr_outside"] > 20
    assert not (out / "final" / "bear" / "comparison_gt.mp4").exists()


def test_nothing_is_measured_if_nobody_wants_it(two, run_flow, tmp_path):
    words = [*two.flags(tmp_path / "out"), "--no_metrics", "--gt_root", str(tmp_path / "missing")]
    run = run_flow(words)
    assert run.state.is_completed(), run.state.message
    assert not list(run.output_dir.rglob("metrics.json"))
    assert {phase for _, phase in run.statuses()} == {"coarse", "caption", "refine"}
    assert (run.output_dir / "report" / "index.html").is_file()


def test_a_bad_ground_truth_costs_its_videos_numbers_alone(two, run_flow, tmp_path):
    next((clean(two) / "car").iterdir()).unlink()
    run = run_flow([*two.flags(tmp_path / "out"), "--gt_root", str(clean(two))])
    assert run.state.is_failed()
    assert run.summary.names("failed") == ["car"]
    assert "ends after 5 frames" in run.video("car").reason
    assert (run.output_dir / "final" / "car" / "propagation.mp4").is_file()
    assert metrics(run.output_dir, "bear")["values"]["psnr"] > 25
    shutil.rmtree(clean(two) / "car")
    again = run_flow([*two.flags(tmp_path / "out"), "--gt_root", str(clean(two))])
    assert again.state.is_completed()
    assert metrics(again.output_dir, "car")["unavailable"]["psnr"] == NO_TRUTH


def test_lossless_results_are_measured_without_the_encoder(two, run_flow, tmp_path):
    out = run_flow([*two.flags(tmp_path / "out"), "--lossless"]).output_dir
    told = metrics(out, "bear")
    assert told["facts"]["measured"] == "propagation.mkv"
    assert told["values"]["max_difference_kept"] == 0


def test_networks_measure_a_whole_run(two, run_flow, tmp_path, tmp_path_factory):
    weights = tmp_path / "weights" / "metrics"
    write_lpips(weights / "lpips")
    write_i3d(weights / "i3d" / "i3d_rgb_imagenet.pt")
    write_clip_model(weights / "clip-vit-large-patch14")
    words = ["--engine", "propagation", "--dataset", "davis", "--save_path", str(tmp_path / "out")]
    words += ["--video_root", str(two.videos), "--mask_root", str(two.masks), "--gt_root", str(clean(two))]
    words += ["--weights_dir", str(tmp_path / "weights")]
    run = run_flow(words, REMOVE)
    assert run.state.is_completed(), run.state.message
    told = json.loads((tmp_path / "out" / "bear" / "metrics.json").read_text())
    assert told["values"]["lpips"] > 0
    assert -1 <= told["values"]["temporal_consistency"] <= 1
    assert run.summary.metrics["vfid"] >= 0
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "VFID" in page and "covariances of rank 1" in page
    skipped = run_flow([*words, "--skip_vfid"], REMOVE)
    assert "vfid" not in skipped.summary.metrics
    assert skipped.executed() == {(name, "evaluate") for name in NAMES}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lpips_path", "nowhere"], "nowhere"),
        (["--i3d_path", "nowhere.pt"], "nowhere.pt"),
        (["--metrics_flow", "raft"], "--metrics_flow raft needs raft-things.pth"),
        (["--gt_root", "nowhere"], "nowhere"),
    ],
)
def test_what_is_asked_for_and_not_there_is_told_before_any_work(two, tmp_path, capsys, flags, said):
    assert main([*two.flags(tmp_path / "out"), *flags]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
