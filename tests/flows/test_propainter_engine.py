"""The flow with the ProPainter engine: on the CPU, with random weights of full size."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests_support import Dataset, same_weights

from flows.command_line import parse
from flows.launch import main
from flows.plan import make_plan
from lib.video.clip import read_clip

QUICK = ["--raft_iter", "1"]


def flags(dataset: Dataset, output_dir: Path, weights: Path) -> list[str]:
    return [*dataset.flags(output_dir, "propainter"), "--propainter_model_dir", str(weights), *QUICK]


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def finished(dataset: Dataset, run_flow, weights: Path, tmp_path: Path, finished_folder: Path) -> Path:
    """The output directory of a finished run over one video; made once, copied for each test."""
    dataset.add("bear", frames=3, height=128, width=136)
    if not (finished_folder / "out").exists():
        run = run_flow([*flags(dataset, finished_folder / "out", weights), "--lossless"])
        assert run.state.is_completed(), run.state.message
        assert set(run.statuses().values()) == {"done"}
    return Path(shutil.copytree(finished_folder / "out", tmp_path / "out"))


def states(words: list[str]) -> dict[str, str]:
    return {step.phase: step.state for step in make_plan(parse(words)[0])}


def test_the_prior_is_both_results(dataset, finished):
    for path in ("phase1/bear/propainter.mp4", "final/bear/propainter.mp4"):
        assert read_clip(finished / path).frames.shape == (3, 128, 136, 3)
    final = read_clip(finished / "final/bear/propainter.mkv").frames
    anchor = np.asarray(Image.open(finished / "final/bear/anchor_frame.png"))
    hole = np.asarray(Image.open(dataset.masks / "bear" / "00000.png")) > 0
    assert np.array_equal(anchor[hole], final[0][hole])
    told = json.loads((finished / "final/bear/provenance.json").read_text())
    assert told["job"]["engine"]["engine"] == "propainter"
    assert told["job"]["prior"]["raft_iter"] == 1
    assert {len(told["job"]["engine_fingerprint"][name]) for name in ("ProPainter.pth", "raft-things.pth")} == {64}
    assert told["facts"]["prior_windows"] >= 1
    coarse = json.loads((finished / "phase1/bear/provenance.json").read_text())
    assert "prior.flow" in coarse["seconds"] and "prior.flow" not in told["seconds"]  # it was there already
    assert read_clip(finished / "priors/bear/136x128.mkv").frames.shape == (3, 128, 136, 3)


def test_a_rerun_is_cached_wherever_the_weights_lie(dataset, run_flow, finished, weights, tmp_path):
    words = [*flags(dataset, finished, same_weights(tmp_path / "elsewhere", weights)), "--lossless"]
    assert set(states(words).values()) == {"cached"}
    assert set(run_flow(words).statuses().values()) == {"cached"}


def test_an_edited_caption_does_not_run_the_networks_again(dataset, run_flow, finished, weights):
    words = [*flags(dataset, finished, weights), "--lossless"]
    path = finished / "prompt_cache" / "bear.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, "prompt": ["a quiet street"]}))
    assert run_flow(words).executed() == {("bear", "caption")}


def test_other_weights_and_other_windows_run_again(dataset, run_flow, finished, weights, tmp_path):
    words = [*flags(dataset, finished, weights), "--lossless"]
    assert states([*words, "--ref_stride", "3"])["coarse"] == "to do"
    assert states([*words, "--precision", "fp32"])["coarse"] == "cached"
    changed = same_weights(tmp_path / "changed", weights)
    path = changed / "raft-things.pth"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    run = run_flow([*words, "--propainter_model_dir", str(changed)])
    assert run.state.is_completed(), run.state.message
    assert {("bear", "coarse"), ("bear", "refine")} <= run.executed()


def remove_file(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def replace_by_page(path: Path) -> None:
    path.unlink()
    path.write_text("<html>not found</html>")


@pytest.mark.parametrize("plan", [[], ["--plan"]], ids=["run", "plan"])
@pytest.mark.parametrize("damage", [remove_file, truncate, replace_by_page], ids=lambda damage: damage.__name__)
def test_unusable_weights_are_one_error_before_anything_starts(dataset, weights, tmp_path, capsys, damage, plan):
    dataset.add("bear")
    folder = same_weights(tmp_path / "weights", weights)
    damage(folder / "recurrent_flow_completion.pth")
    assert main([*flags(dataset, tmp_path / "out", folder), *plan]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "recurrent_flow_completion.pth" in said and "sczhou/ProPainter" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engine", "propainter"], "needs --propainter_model_dir"),
        (["--engine", "propainter", "--propainter_model_dir", "/nowhere"], "/nowhere: no such folder"),
        (["--engine", "propagation", "--anchor_method", "propainter"], "--anchor_method propainter does not go with"),
        (["--engine", "propainter", "--anchor_method", "patch"], "--anchor_method patch does not go with"),
        (["--neighbor_length", "1"], "--neighbor_length"),
        (["--subvideo_length", "0"], "--subvideo_length"),
        (["--ref_stride", "0"], "--ref_stride"),
        (["--raft_iter", "0"], "--raft_iter"),
    ],
)
def test_bad_usage_is_one_error_that_names_the_flag(dataset, tmp_path, capsys, words, said):
    dataset.add("bear")
    assert main([*dataset.flags(tmp_path / "out"), *words]) == 2
    shown = capsys.readouterr().err.strip()
    assert said in shown and len(shown.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_flags_of_the_engine_do_not_touch_the_results_of_another(dataset, tmp_path):
    dataset.add("bear")
    plain = parse(dataset.flags(tmp_path / "out"))[0]
    other = parse([*dataset.flags(tmp_path / "out"), "--ref_stride", "3", "--propainter_model_dir", "/nowhere"])[0]
    assert [keys(plain, dataset)] == [keys(other, dataset)]


def keys(settings, dataset: Dataset) -> tuple[str, str]:
    from flows.batch import Batch
    from flows.inputs import Fingerprints
    from lib.video.datasets import Video

    batch = Batch(settings)
    video = Video(name="bear", video_path=dataset.videos / "bear", mask_path=dataset.masks / "bear")
    path = batch.prompt_file(video)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("prompt: [a wall]\n")
    coarse = batch.coarse(video, Fingerprints("a" * 64, "b" * 64))
    return coarse.cache_key, batch.refine(coarse).cache_key
