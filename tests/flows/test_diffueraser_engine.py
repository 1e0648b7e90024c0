"""The three phases with tiny random networks of DiffuEraser, its anchor and its prior, over two videos."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seed_commands
import yaml
from PIL import Image
from tests_support import CAPTION, Dataset

from flows.batch import Batch
from flows.command_line import parse
from flows.inputs import Fingerprints
from flows.launch import main
from flows.plan import make_plan
from lib.anchor.sd_inpaint import SDInpaintAnchorInpainter
from lib.captioner.prompt_file import NEGATIVE_PROMPT
from lib.diffueraser.text import TextEncoder
from lib.removers.propainter import PropainterRemover
from lib.video.clip import read_clip
from lib.video.datasets import Video

NAMES = ("bear", "car")
COMMAND = seed_commands.quick(seed_commands.AUTO_REFINE).replace("--caption_env caption_env", "")
LOW = "--phase1_downscale --phase1_W 432 --phase1_H 240"
SAME_SIZE = COMMAND.replace(LOW, "")


@pytest.fixture
def videos(dataset: Dataset) -> Dataset:
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed, frames=4, height=64, width=72)
    return dataset


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[int, ...]]]:
    """The clips that the prior's networks worked on: name and size."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    make = PropainterRemover._paint

    def noted(self: Any, request: Any) -> Any:
        seen.append((request.video_name, request.frames.shape[1:3]))
        return make(self, request)

    monkeypatch.setattr(PropainterRemover, "_paint", noted)
    return seen


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """What the anchor's model and the main network's text encoder were given."""
    seen: dict[str, set[str]] = {"anchor": set(), "main network": set()}
    paint, encode = SDInpaintAnchorInpainter._paint, TextEncoder.encode

    def noted_paint(self: Any, frame: Any, hole: Any, prompt: str, n_prompt: str) -> Any:
        seen["anchor"] |= {prompt, n_prompt}
        return paint(self, frame, hole, prompt, n_prompt)

    def noted_encode(self: Any, text: str) -> Any:
        seen["main network"].add(text)
        return encode(self, text)

    monkeypatch.setattr(SDInpaintAnchorInpainter, "_paint", noted_paint)
    monkeypatch.setattr(TextEncoder, "encode", noted_encode)
    return seen


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory, fresh_models: None) -> Path:
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def finished(videos, run_flow, eraser_weights, tmp_path, finished_folder, painted, told) -> Path:
    """The output directory of a finished run; made once, copied for each test."""
    if not (finished_folder / "out").exists():
        run = run_flow(words(videos, eraser_weights, finished_folder / "out"))
        assert run.state.is_completed(), run.state.message
        assert set(run.statuses().values()) == {"done"}
        (finished_folder / "painted").write_text(json.dumps(painted))
        (finished_folder / "told").write_text(json.dumps({name: sorted(texts) for name, texts in told.items()}))
        painted.clear()
    return Path(shutil.copytree(finished_folder / "out", tmp_path / "out"))


def words(videos: Dataset, weights: Path, out: Path, command: str = SAME_SIZE) -> list[str]:
    return seed_commands.words(f"{command} --lossless", videos, weights, out)


def states(line: list[str]) -> dict[tuple[str, str], str]:
    return {(step.video, step.phase): step.state for step in make_plan(parse(line)[0])}


def provenance(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "provenance.json").read_text())


def test_files_of_all_phases(finished):
    common = {"diffueraser.mp4", "propainter.mp4", "provenance.json"}
    for name in NAMES:
        assert {path.name for path in (finished / "phase1" / name).iterdir()} == common
        final = {path.name for path in (finished / "final" / name).iterdir()}
        assert final == common | {"diffueraser.mkv", "anchor_frame.png", "comparison_4in1.mp4"}
        for file in ("diffueraser.mp4", "propainter.mp4"):
            assert read_clip(finished / "final" / name / file).frames.shape == (4, 64, 72, 3)


def test_the_comparison_shows_the_prior_below_the_input(finished):
    grid = read_clip(finished / "final" / "bear" / "comparison_4in1.mp4").frames.astype(int)
    assert grid.shape == (4, 128, 144, 3)
    for file, cell in (("propainter.mp4", grid[:, 64:, :72]), ("diffueraser.mp4", grid[:, 64:, 72:])):
        shown = read_clip(finished / "final" / "bear" / file).frames.astype(int)
        assert np.abs(shown - cell)[:, 20:].mean() < 6  # below the label


def test_the_prior_is_made_once_for_coarse_and_refine_and_each_model_loads_once(finished, finished_folder):
    assert sorted(json.loads((finished_folder / "painted").read_text())) == [["bear", [64, 72]], ["car", [64, 72]]]
    for name in NAMES:
        prior = read_clip(finished / "priors" / name / "72x64.mkv").frames
        assert prior.shape == (4, 64, 72, 3)
        for phase in ("phase1", "final"):
            facts = provenance(finished / phase / name)["facts"]
            loads = {key: value for key, value in facts.items() if key.startswith("loads.")}
            assert {"loads.unet", "loads.brushnet", "loads.vae", "loads.text_encoder"} <= loads.keys()
            assert set(loads.values()) == {1}
            assert facts["prior_windows"] >= 1
    assert "loads.sd_inpaint" in provenance(finished / "final" / "car")["facts"]


def test_the_models_sentence_reaches_the_anchor_and_the_main_network(finished, finished_folder):
    given = json.loads((finished_folder / "told").read_text())
    assert given["anchor"] == sorted((CAPTION, NEGATIVE_PROMPT))
    assert given["main network"] == sorted(("", CAPTION, NEGATIVE_PROMPT))  # "" is phase 1's


def test_phase_1_is_told_nothing_and_phase_3_the_caption(finished):
    for name in NAMES:
        told = yaml.safe_load((finished / "prompt_cache" / f"{name}.yaml").read_text())
        assert told["prompt_source"] == "auto_masked"
        prompt = told["prompt"][0]
        job = provenance(finished / "final" / name)["job"]
        assert (job["prompt"], job["use_text"], job["text_guidance_scale"]) == (prompt, True, 2.0)
        assert job["anchor"]["anchor_method"] == "sd-inpaint"
        assert "prompt" not in provenance(finished / "phase1" / name)["job"]
        coarse, refined = (
            read_clip(finished / phase / name / "diffueraser.mp4").frames for phase in ("phase1", "final")
        )
        assert not np.array_equal(coarse, refined)


def test_the_anchor_frame_is_the_anchors_picture(finished, videos):
    picture = np.asarray(Image.open(finished / "final" / "bear" / "anchor_frame.png"))
    hole = np.asarray(Image.open(videos.masks / "bear" / "00000.png")) > 0
    assert np.array_equal(read_clip(finished / "final" / "bear" / "diffueraser.mkv").frames[0][hole], picture[hole])


def test_a_rerun_is_cached_also_without_the_priors_files(finished, videos, run_flow, eraser_weights, painted):
    line = words(videos, eraser_weights, finished)
    shutil.rmtree(finished / "priors")
    assert set(states(line).values()) == {"cached"}
    assert set(run_flow(line).statuses().values()) == {"cached"}
    line = [*line, "--anchor_frame_idx", "2", "--video_names", "bear"]
    assert states(line)[("bear", "refine")] == "to do"
    assert run_flow(line).executed() == {("bear", "refine"), ("bear", "comparison")}
    assert painted == [("bear", (64, 72))]  # now it was needed again


def test_an_edited_caption_refines_again_and_changes_anchor_and_result(
    finished, videos, run_flow, eraser_weights, painted
):
    line = words(videos, eraser_weights, finished)
    files = [finished / "final" / "car" / file for file in ("anchor_frame.png", "diffueraser.mkv", "propainter.mp4")]
    before = [path.read_bytes() for path in files]
    path = finished / "prompt_cache" / "car.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "prompt": ["a lake"]}))
    run = run_flow(line)
    assert run.executed() == {("car", phase) for phase in ("caption", "refine", "comparison")}
    assert [path.read_bytes() == old for path, old in zip(files, before, strict=True)] == [False, False, True]
    assert painted == []


def test_phase_1_at_low_resolution_has_a_prior_of_its_size(videos, run_flow, eraser_weights, tmp_path, painted):
    command = COMMAND.replace(LOW, "--phase1_downscale --phase1_W 40 --phase1_H 36")
    out = tmp_path / "out"
    run = run_flow([*words(videos, eraser_weights, out, command), "--video_names", "bear"])
    assert run.state.is_completed(), run.state.message
    assert read_clip(out / "phase1" / "bear" / "diffueraser.mp4").frames.shape == (4, 36, 40, 3)
    assert painted == [("bear", (36, 40)), ("bear", (64, 72))]
    assert {path.name for path in (out / "priors" / "bear").iterdir()} == {"40x36.mkv", "72x64.mkv"}


def test_captions_from_the_source_need_no_phase_1_even_for_the_comparison(videos, eraser_weights, tmp_path):
    line = [*words(videos, eraser_weights, tmp_path / "out"), "--caption_source", "original"]
    assert {phase for _, phase in states(line)} == {"caption", "refine", "comparison"}


def test_weights_may_lie_elsewhere(finished, videos, eraser_weights, tmp_path):
    moved = shutil.copytree(eraser_weights, tmp_path / "moved", symlinks=True)
    assert set(states(words(videos, Path(moved), finished)).values()) == {"cached"}
    config = Path(moved) / "diffuEraser" / "brushnet" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert states(words(videos, Path(moved), finished))[("bear", "refine")] == "to do"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--nframes", "32"], "--nframes"),
        (["--pcm_steps", "3"], "--pcm_steps"),
        (["--text_guidance_scale", "-1"], "--text_guidance_scale"),
        (["--anchor_steps", "0"], "--anchor_steps"),
        (["--engine", "propagation", "--anchor_method", "sd-inpaint"], "--anchor_method sd-inpaint does not go with"),
    ],
)
def test_bad_usage_names_the_flag(videos, eraser_weights, tmp_path, capsys, more, said):
    try:
        code = main([*words(videos, eraser_weights, tmp_path / "out"), *more])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_comparisons_third_picture(videos, eraser_weights, tmp_path):
    def title(batch: Batch, coarse_key: str, key: str) -> str:
        video = Video(name="bear", video_path=videos.videos / "bear", mask_path=videos.masks / "bear")
        path = batch.prompt_file(video)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("prompt: [a wall]\n")
        coarse = batch.coarse(video, Fingerprints("a", "b"))
        return batch.comparison_of_phases(coarse, coarse_key, batch.refine(coarse), key).third_title

    eraser = Batch(parse(words(videos, eraser_weights, tmp_path / "out"))[0])
    propagation = Batch(parse([*videos.flags(tmp_path / "out"), "--use_text"])[0])
    assert title(eraser, "coarse-1", "refine-1") == "ProPainter"
    assert title(eraser, "coarse-1", "file-1") == "Phase 1"  # a result that was kept, without its prior
    assert title(eraser, "", "file-1") == "Hole"
    assert title(propagation, "coarse-1", "refine-1") == "Phase 1"
    assert (eraser.warnings, propagation.warnings) == ([], ["--use_text has no effect with --engine propagation"])
