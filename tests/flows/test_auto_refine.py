"""The flow in this process: what it makes, what it runs again, how failures stay with their video."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests_support import Dataset, moving_square, write_frames

from flows.command_line import parse
from flows.plan import make_plan, plan_text
from lib.video.clip import read_clip


@pytest.fixture
def three(dataset: Dataset) -> Dataset:
    for seed, name in enumerate(("bear", "car", "dog")):
        dataset.add(name, seed)
    return dataset


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def finished(three: Dataset, run_flow: Callable[..., Any], tmp_path: Path, finished_folder: Path) -> Path:
    """The output directory of a finished run over the three videos; made once, copied for each test."""
    if not (finished_folder / "out").exists():
        run_flow(three.flags(finished_folder / "out"))
    return Path(shutil.copytree(finished_folder / "out", tmp_path / "out"))


def test_first_run_makes_everything_and_the_second_nothing(three, run_flow, tmp_path):
    words = [*three.flags(tmp_path / "out"), "--save_comparison"]
    first = run_flow(words)
    assert first.state.is_completed(), first.state.message
    assert set(first.statuses().values()) == {"done"}
    out = first.output_dir
    for name in ("bear", "car", "dog"):
        for path in (
            f"phase1/{name}/propagation.mp4",
            f"phase1/{name}/provenance.json",
            f"prompt_cache/{name}.yaml",
            f"final/{name}/propagation.mp4",
            f"final/{name}/anchor_frame.png",
            f"final/{name}/comparison_4in1.mp4",
            f"final/{name}/provenance.json",
        ):
            assert (out / path).stat().st_size > 0
        assert str(Path("final", name, "propagation.mp4")) in first.video(name).paths
    assert read_clip(out / "final" / "bear" / "propagation.mp4").frames.shape == (6, 64, 96, 3)
    second = run_flow(words)
    assert set(second.statuses().values()) == {"cached"}
    assert second.summary.counts == {"done": 0, "cached": 3, "failed": 0, "skipped": 0}


def test_the_object_is_gone(dataset, run_flow, tmp_path):
    dataset.add("bear", frames=12)
    out = run_flow(dataset.flags(tmp_path / "out")).output_dir
    clip, masks = moving_square(0, 12, 64, 96)
    plate, _ = moving_square(0, 12, 64, 96, with_object=False)
    result = read_clip(out / "final" / "bear" / "propagation.mp4").frames
    hole = masks > 0

    def error(frames: np.ndarray) -> float:
        return float(np.abs(frames.astype(float) - plate)[hole].mean())

    assert error(result) < 10 < 60 < error(clip)  # 10: what 4:2:0 costs on blocks of random colours


def test_two_runs_give_the_same_bytes(dataset, run_flow, tmp_path):
    dataset.add("bear", frames=12)
    first, second = (run_flow([*dataset.flags(tmp_path / name), "--save_comparison"]).output_dir for name in "ab")
    files = sorted(path.relative_to(first) for path in first.glob("*/bear/*.[mp][pn]*"))
    assert len(files) == 4
    for path in files:
        assert (first / path).read_bytes() == (second / path).read_bytes(), path


def test_provenance_leads_back_to_the_inputs(dataset, run_flow, tmp_path):
    dataset.add("bear")
    out = run_flow(dataset.flags(tmp_path / "out")).output_dir
    told = json.loads((out / "final" / "bear" / "provenance.json").read_text())
    prompt = yaml.safe_load((out / "prompt_cache" / "bear.yaml").read_text())["prompt"][0]
    assert told["job"]["prompt"] == prompt
    assert told["inputs"]["video"]["path"] == str(dataset.videos / "bear")
    assert len(told["inputs"]["mask"]["sha256"]) == 64
    assert told["job"]["processing"]["seed"] == 42
    assert told["versions"]["opencv-python-headless"]
    assert told["peak_memory_bytes"] > 2**20


def touch(three: Dataset, out: Path) -> list[str]:
    for path in [*three.videos.rglob("*.png"), *three.masks.rglob("*.png"), *out.rglob("*.mp4")]:
        os.utime(path, (1, 1))
    return []


def delete_final(three: Dataset, out: Path) -> list[str]:
    (out / "final" / "car" / "propagation.mp4").unlink()
    return []


def corrupt_coarse(three: Dataset, out: Path) -> list[str]:
    path = out / "phase1" / "car" / "propagation.mp4"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    return []


def delete_yaml(three: Dataset, out: Path) -> list[str]:
    (out / "prompt_cache" / "car.yaml").unlink()
    return []


def edit_yaml(three: Dataset, out: Path) -> list[str]:
    path = out / "prompt_cache" / "car.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, "prompt": ["a quiet street"]}))
    return []


def add_comment_to_yaml(three: Dataset, out: Path) -> list[str]:
    path = out / "prompt_cache" / "car.yaml"
    path.write_text("# mine\n" + path.read_text())
    return []


def replace_frame(three: Dataset, out: Path) -> list[str]:
    path = three.videos / "car" / "00003.png"
    picture = np.asarray(Image.open(path)).copy()
    picture[0, 0] ^= 1
    Image.fromarray(picture).save(path)
    return []


def change_mask(three: Dataset, out: Path) -> list[str]:
    path = three.masks / "car" / "00003.png"
    picture = np.asarray(Image.open(path)).copy()
    picture[40, 40] = 255
    Image.fromarray(picture).save(path)
    return []


def change_seed(three: Dataset, out: Path) -> list[str]:
    return ["--seed", "7"]


def change_anchor_frame(three: Dataset, out: Path) -> list[str]:
    return ["--anchor_frame_idx", "2"]


def change_n_prompt(three: Dataset, out: Path) -> list[str]:
    return ["--n_prompt", "people"]


def change_what_is_not_used(three: Dataset, out: Path) -> list[str]:
    return ["--num_sample_frames", "5", "--max_workers", "1", "--phase1_W", "100", "--comparison_fps", "10"]


def add_comparison(three: Dataset, out: Path) -> list[str]:
    return ["--save_comparison"]


def force_refine(three: Dataset, out: Path) -> list[str]:
    return ["--force_refine"]


def force_recaption(three: Dataset, out: Path) -> list[str]:
    return ["--force_recaption"]


ALL = ("bear", "car", "dog")
EVERY_PHASE = {"coarse", "caption", "refine", "evaluate"}


@pytest.mark.parametrize(
    ("change", "names", "phases"),
    [
        (touch, (), set()),
        (delete_final, ("car",), {"refine"}),
        (corrupt_coarse, ("car",), {"coarse"}),
        (delete_yaml, ("car",), {"caption"}),
        (edit_yaml, ("car",), {"caption", "refine", "evaluate"}),
        (add_comment_to_yaml, ("car",), {"caption"}),
        (replace_frame, ("car",), EVERY_PHASE),
        (change_mask, ("car",), EVERY_PHASE),
        (change_seed, ALL, EVERY_PHASE),
        (change_anchor_frame, ALL, {"refine", "evaluate"}),
        (change_n_prompt, ALL, {"caption", "refine", "evaluate"}),
        (change_what_is_not_used, (), set()),
        (add_comparison, ALL, {"comparison"}),
        (force_refine, ALL, {"refine"}),
        (force_recaption, ALL, {"caption"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_change_reruns_exactly_what_it_affects_as_planned(three, run_flow, finished, change, names, phases):
    words = three.flags(finished) + change(three, finished)
    plan = make_plan(parse(words)[0])
    second = run_flow(words)
    assert second.state.is_completed(), second.state.message
    assert second.executed() == {(name, phase) for name in names for phase in phases}
    certain = {(step.video, step.phase) for step in plan if step.state == "to do" and not step.uncertain}
    possible = {(step.video, step.phase) for step in plan if step.state == "to do" or step.uncertain}
    assert certain <= second.executed() <= possible, plan_text(plan)
    unforced = [word for word in words if not word.startswith("--force")]
    assert {step.state for step in make_plan(parse(unforced)[0])} == {"cached"}


def test_an_edited_caption_is_never_overwritten_unless_forced(three, run_flow, finished):
    words = three.flags(finished)
    edit_yaml(three, finished)
    path = finished / "prompt_cache" / "car.yaml"
    edited = path.read_text()
    run_flow([*words, "--seed", "9", "--frame_strategy", "multi_sample"])
    assert path.read_text() == edited
    run_flow([*words, "--force_recaption"])
    assert path.read_text() != edited
    assert path.with_name("car.yaml.bak").read_text() == edited


def test_an_edited_caption_without_prompt_blocks_only_its_video(three, run_flow, tmp_path):
    words = three.flags(tmp_path / "out")
    path = tmp_path / "out" / "prompt_cache" / "car.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("prompt: ['']\n")
    run = run_flow(words)
    assert run.state.is_failed()
    assert run.summary.names("failed") == ["car"]
    assert "car.yaml" in run.video("car").reason
    assert run.summary.names("done") == ["bear", "dog"]


def test_results_that_the_cache_did_not_make_are_kept_on_request(dataset, run_flow, tmp_path):
    dataset.add("bear")
    words = dataset.flags(tmp_path / "out")
    out = run_flow(words).output_dir
    shutil.rmtree(out / ".prefect" / "results")
    before = {path: path.read_bytes() for path in out.rglob("propagation.mp4")}
    kept = run_flow([*words, "--skip_phase1_if_exists", "--skip_phase3_if_exists", "--seed", "5"])
    assert kept.executed() <= {("bear", "caption"), ("bear", "evaluate")}
    assert {path: path.read_bytes() for path in before} == before
    assert run_flow([*words, "--seed", "5"]).executed() >= {("bear", "coarse"), ("bear", "refine")}


def test_seven_videos_of_every_kind(run_flow, dataset, tmp_path, capsys):
    for seed, name in enumerate(("plain", "no mask", "all empty", "other aspect", "other size", "名前 with spaces é")):
        dataset.add(name, seed)
    shutil.rmtree(dataset.masks / "no mask")
    empty = [np.zeros((64, 96), np.uint8)] * 6
    write_frames(dataset.masks / "all empty", empty)
    write_frames(dataset.masks / "other aspect", [np.full((96, 64), 255, np.uint8)] * 6)
    _, masks = moving_square(4, 6, 128, 192)
    write_frames(dataset.masks / "other size", masks)
    dataset.add("corrupt")
    for path in (dataset.videos / "corrupt").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    run = run_flow(dataset.flags(tmp_path / "out"))
    assert run.state.is_failed()
    statuses = {video.name: video.status for video in run.summary.videos}
    assert statuses == {
        "plain": "done",
        "other size": "done",
        "名前 with spaces é": "done",
        "no mask": "skipped",
        "all empty": "failed",
        "corrupt": "failed",
        "other aspect": "failed",
    }
    shown = capsys.readouterr().out
    for name, word in (
        ("all empty", "empty"),
        ("corrupt", "00000.png"),
        ("other aspect", "64x96"),
        ("no mask", "mask"),
    ):
        assert word in run.video(name).reason
        assert run.video(name).reason in shown
        assert name in (run.state.message or "") or name == "no mask"
    notes = [note.text for note in run.video("other size").phases[0].notes]
    assert any("128x192" in note or "192x128" in note for note in notes)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", ""])
def test_a_name_that_leaves_the_output_directory_is_refused(name):
    from lib.video.datasets import Video

    with pytest.raises(ValueError, match="video name"):
        Video(name=name, video_path=Path("v"), mask_path=Path("m"))


def test_single_video_low_resolution_phase_1_and_lossless(dataset, run_flow, tmp_path):
    dataset.add("bear", height=66, width=97)
    words = ["--engine", "propagation", "--input_video", str(dataset.videos / "bear")]
    words += ["--input_mask", str(dataset.masks / "bear")]
    words += ["--output_dir", str(tmp_path / "out"), "--phase1_downscale", "--phase1_W", "48", "--phase1_H", "32"]
    out = run_flow([*words, "--lossless"]).output_dir
    assert read_clip(out / "phase1" / "single_video" / "propagation.mp4").frames.shape == (6, 32, 48, 3)
    final = read_clip(out / "final" / "single_video" / "propagation.mkv").frames
    assert final.shape == (6, 66, 97, 3)
    source = read_clip(dataset.videos / "bear").frames
    _, masks = moving_square(0, 6, 66, 97)
    far = ~np.lib.stride_tricks.sliding_window_view(np.pad(masks > 0, ((0, 0), (10, 10), (10, 10))), (1, 21, 21)).any(
        axis=(-1, -2, -3)
    )
    assert np.array_equal(final[far], source[far])


def test_captions_from_the_source_need_no_phase_1(dataset, run_flow, tmp_path):
    dataset.add("bear")
    run = run_flow([*dataset.flags(tmp_path / "out"), "--caption_source", "original"])
    assert run.state.is_completed()
    assert set(run.statuses()) == {("bear", "caption"), ("bear", "refine"), ("bear", "evaluate")}
    assert not (run.output_dir / "phase1").exists()


def test_no_two_phases_write_outside_the_output_directory(dataset, run_flow, tmp_path):
    dataset.add("bear")
    before = subprocess.run(["find", str(dataset.videos.parent)], capture_output=True, text=True, check=True).stdout
    run_flow(dataset.flags(tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}
    after = subprocess.run(["find", str(dataset.videos.parent)], capture_output=True, text=True, check=True).stdout
    assert after == before
