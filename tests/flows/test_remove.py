"""`flows/remove.py` with tiny random networks: the four modes over two videos, and what each leaves unchanged."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seed_commands
import yaml
from embedded_support import run_command, stored_records
from PIL import Image
from tests_support import Dataset

from flows.command_line import parse
from flows.launch import REMOVE, main
from flows.plan import make_plan
from lib.anchor.sd_inpaint import SDInpaintAnchorInpainter
from lib.removers.diffueraser import DiffuEraserRemover
from lib.removers.propainter import PropainterRemover
from lib.video.clip import read_clip

PROMPT, N_PROMPT = "a wall in the sun", "people"
NAMES = ("bear", "car")
MODES = {  # number -> command of the design (or a part of it), more words
    1: (seed_commands.BASELINE, ["--prompt", PROMPT, "--n_prompt", N_PROMPT]),
    2: (seed_commands.ANCHOR_AND_TEXT, []),
    3: (seed_commands.COARSE, []),
    4: (seed_commands.COARSE, ["--use_text", "--prompt", PROMPT, "--n_prompt", N_PROMPT]),
}
Told = list[tuple[Any, ...]]


class Removal:
    """One finished run: its files, and what anchor and network were told."""

    def __init__(self, run: Any, folder: Path, shown: str, anchor: Told, network: Told, priors: Told) -> None:
        self.run, self.folder, self.shown = run, folder, shown
        self.anchor, self.network, self.priors = anchor, network, priors

    def bytes(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def frames(self, name: str) -> np.ndarray:
        return read_clip(self.folder / name / "diffueraser.mkv").frames

    def provenance(self, name: str) -> dict[str, Any]:
        return json.loads(self.bytes(f"{name}/provenance.json"))


@contextmanager
def listening() -> Iterator[tuple[Told, Told, Told]]:
    """What reaches the anchor's model, the main network and the prior, in the words of the request."""
    anchor, network, priors = [], [], []
    paint, remove, make = SDInpaintAnchorInpainter._paint, DiffuEraserRemover.remove, PropainterRemover._paint

    def noted_paint(self: Any, frame: Any, hole: Any, prompt: str, n_prompt: str) -> Any:
        anchor.append((prompt, n_prompt))
        return paint(self, frame, hole, prompt, n_prompt)

    def noted_remove(self: Any, request: Any) -> Any:
        network.append((request.prompt, request.n_prompt, request.text_guidance_scale))
        return remove(self, request)

    def noted_make(self: Any, request: Any) -> Any:
        priors.append((request.video_name,))
        return make(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SDInpaintAnchorInpainter, "_paint", noted_paint)
        patch.setattr(DiffuEraserRemover, "remove", noted_remove)
        patch.setattr(PropainterRemover, "_paint", noted_make)
        yield anchor, network, priors


class Removals:
    """Runs over one data set and into one folder, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.yaml = folder, folder / "out", folder / "bear.yaml"
        self.dataset = Dataset(folder / "data")
        for seed, name in enumerate(NAMES):
            self.dataset.add(name, seed, frames=4, height=64, width=72)
        self.yaml.write_text(yaml.safe_dump({"prompt": [PROMPT], "n_prompt": [N_PROMPT], "text_guidance_scale": 3.0}))
        self.made: dict[str, Removal] = {}

    def words(self, command: str, weights: Path) -> list[str]:
        words = seed_commands.words(seed_commands.quick(command), self.dataset, weights, self.out, self.yaml)
        return [*words, "--lossless"]


@pytest.fixture(scope="module")
def removals(tmp_path_factory: pytest.TempPathFactory, fresh_models: None) -> Removals:
    return Removals(tmp_path_factory.mktemp("removals"))


Remove = Callable[..., Removal]


@pytest.fixture
def remove(removals, run_flow, eraser_weights, capsys) -> Remove:
    def once(command: str, *more: str) -> Removal:
        key = " ".join([command, *more])
        if key not in removals.made:
            with listening() as heard:
                run = run_flow([*removals.words(command, eraser_weights), *more], REMOVE)
            assert run.state.is_completed(), run.state.message
            kept = removals.folder / str(len(removals.made))
            shutil.copytree(removals.out, kept, ignore=shutil.ignore_patterns(".prefect", "priors"))
            removals.made[key] = Removal(run, kept, capsys.readouterr().out, *heard)
        return removals.made[key]

    return once


@pytest.fixture
def modes(remove) -> dict[int, Removal]:
    return {number: remove(command, *more) for number, (command, more) in MODES.items()}


def test_every_mode_says_what_it_should_to_anchor_and_network(modes):
    said, silent = (PROMPT, N_PROMPT), ("", "", 0.0)
    heard = {number: (set(mode.anchor), set(mode.network)) for number, mode in modes.items()}
    assert heard == {
        1: ({said}, {silent}),
        2: (set(), {(*said, 2.0)}),  # mode 1's picture; the flag's scale, not the file's 3.0
        3: (set(), {silent}),
        4: (set(), {(*said, 2.0)}),
    }
    assert all(len(mode.network) == 2 for mode in modes.values())


def test_every_mode_changes_the_result_and_nothing_else(modes):
    for name in NAMES:
        results = {mode.bytes(f"{name}/diffueraser.mkv") for mode in modes.values()}
        assert len(results) == 4
        assert len({mode.bytes(f"{name}/propainter.mp4") for mode in modes.values()}) == 1
        assert modes[1].bytes(f"{name}/anchor_frame.png") == modes[2].bytes(f"{name}/anchor_frame.png")
        source = read_clip(modes[3].run.output_dir.parent / "data" / "videos" / name).frames
        for mode in modes.values():
            assert np.array_equal(mode.frames(name)[:, :4], source[:, :4])  # far from the hole


def test_files_of_a_result(modes, removals):
    for number, mode in modes.items():
        wanted = {"diffueraser.mp4", "diffueraser.mkv", "propainter.mp4", "provenance.json"}
        wanted |= {"anchor_frame.png", "comparison_4in1.mp4"} if number in (1, 2) else set()
        for name in NAMES:
            listed = set(mode.run.video(name).paths)
            assert listed == {f"{name}/{file}" for file in wanted}
            assert all((mode.folder / path).is_file() for path in listed)
        assert mode.run.summary.settings.output_dir == removals.out
        assert mode.run.statuses().keys() == {(n, "remove") for n in NAMES} | (
            {(n, "comparison") for n in NAMES} if number in (1, 2) else set()
        )


def test_one_prior_of_each_video_serves_all_modes(modes, removals):
    assert sorted(prior for mode in modes.values() for prior in mode.priors) == [("bear",), ("car",)]
    assert len(list((removals.out / "priors").rglob("*.mkv"))) == 2


def test_models_load_once_for_both_videos(modes):
    for mode in modes.values():
        for name in NAMES:
            loads = {key: value for key, value in mode.provenance(name)["facts"].items() if key.startswith("loads.")}
            assert {"loads.unet", "loads.brushnet", "loads.vae", "loads.text_encoder"} <= loads.keys()
            assert set(loads.values()) == {1}


def test_without_any_prompt_the_baseline_runs_and_says_so(remove, modes):
    baseline = remove(seed_commands.BASELINE)
    assert set(baseline.anchor) == {("", "")} and set(baseline.network) == {("", "", 0.0)}
    assert "warning: no prompt was given" in baseline.shown
    assert baseline.bytes("bear/anchor_frame.png") != modes[1].bytes("bear/anchor_frame.png")
    assert baseline.bytes("bear/diffueraser.mkv") != modes[1].bytes("bear/diffueraser.mkv")


def test_the_anchor_is_the_frame_that_was_asked_for(remove, modes):
    third = remove(MODES[1][0], *MODES[1][1], "--anchor_frame_idx", "2", "--video_names", "bear")
    for mode, index in ((modes[1], 0), (third, 2)):
        hole = np.asarray(Image.open(third.run.output_dir.parent / "data/masks/bear" / f"{index:05d}.png")) > 0
        picture = np.asarray(Image.open(mode.folder / "bear" / "anchor_frame.png"))
        assert np.array_equal(mode.frames("bear")[index][hole], picture[hole])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(remove, modes):
    command, more = MODES[2]
    again = remove(command, *more, "--force", "--video_names", "bear")
    other = remove(command, *more, "--seed", "7", "--video_names", "bear")
    for file in ("diffueraser.mkv", "diffueraser.mp4", "anchor_frame.png", "comparison_4in1.mp4"):
        assert again.bytes(f"bear/{file}") == modes[2].bytes(f"bear/{file}")
        assert other.bytes(f"bear/{file}") != modes[2].bytes(f"bear/{file}")
    assert other.priors == []  # it has no seed


def keys(removals: Removals, weights: Path, command: str, *more: str) -> list[str]:
    from flows.inputs import Fingerprints, find_videos
    from flows.remove_batch import RemoveBatch

    batch = RemoveBatch(parse([*removals.words(command, weights), *more], REMOVE.settings)[0])
    prints = Fingerprints("a", "b")
    return [batch.remove(video, prints).cache_key for video in find_videos(batch.settings).videos]


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        (3, ["--prompt", "a lake", "--n_prompt", "ducks", "--text_guidance_scale", "5"]),
        (3, ["--anchor_frame_idx", "2", "--anchor_steps", "9", "--anchor_method", "patch"]),
        (3, ["--anchor_scope", "main", "--cfg_gate", "reference"]),
        (1, ["--text_guidance_scale", "5", "--cfg_gate", "reference"]),
        (1, ["--offload", "--precision", "fp32", "--no_metrics", "--max_workers", "3"]),
        (2, ["--prompt", PROMPT]),
    ],
)
def test_what_has_no_effect_is_in_no_key(removals, eraser_weights, mode, more):
    command, words = MODES[mode]
    assert keys(removals, eraser_weights, command, *words) == keys(removals, eraser_weights, command, *words, *more)


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        (1, ["--prompt", "a lake"]),
        (1, ["--n_prompt", "ducks"]),
        (1, ["--anchor_frame_idx", "2"]),
        (1, ["--anchor_steps", "9"]),
        (1, ["--anchor_scope", "main"]),
        (1, ["--use_text"]),
        (2, ["--text_guidance_scale", "5"]),
        (3, ["--pcm_steps", "4"]),
        (3, ["--feather", "3"]),
        (4, ["--prompt", "a lake"]),
        (4, ["--cfg_gate", "reference"]),
    ],
)
def test_what_has_an_effect_is_in_the_key(removals, eraser_weights, mode, more):
    command, words = MODES[mode]
    assert keys(removals, eraser_weights, command, *words) != keys(removals, eraser_weights, command, *words, *more)


def test_guidance_of_0_is_no_text(removals, eraser_weights):
    plain = keys(removals, eraser_weights, MODES[3][0])
    command, more = MODES[4]
    assert keys(removals, eraser_weights, command, *more, "--text_guidance_scale", "0") == plain


def test_each_word_comes_from_the_flag_else_from_the_file(removals, eraser_weights, tmp_path):
    from flows.remove_batch import RemoveBatch

    def words(*more: str) -> tuple[str, str, float]:
        base = seed_commands.quick(seed_commands.COARSE)
        given = seed_commands.words(base, removals.dataset, eraser_weights, tmp_path / "out")
        batch = RemoveBatch(parse([*given, "--use_text", *more], REMOVE.settings)[0])
        found = batch._words("bear")
        return found.prompt, found.n_prompt, found.text_guidance_scale

    file = ["--prompt_yaml", str(removals.yaml)]
    assert words() == ("", "", 2.0)
    assert words(*file) == (PROMPT, N_PROMPT, 3.0)
    assert words(*file, "--prompt", "a lake") == ("a lake", N_PROMPT, 3.0)
    assert words(*file, "--n_prompt", "") == (PROMPT, "", 3.0)
    assert words(*file, "--text_guidance_scale", "1.5") == (PROMPT, N_PROMPT, 1.5)
    assert words("--prompt_yaml", str(removals.yaml.parent)) == (PROMPT, N_PROMPT, 3.0)  # a file for each video


@pytest.mark.parametrize("plan", [[], ["--plan"]], ids=["run", "plan"])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--prompt", ""], "--prompt is empty"),
        (["--prompt_yaml", "nowhere.yaml"], "nowhere.yaml: prompt file not found"),
        (["--prompt_yaml", "EMPTY"], "expected a sentence"),
    ],
    ids=["empty flag", "no file", "empty file"],
)
def test_a_promised_prompt_that_is_not_there_is_an_error(
    removals, eraser_weights, tmp_path, monkeypatch, capsys, more, said, plan
):
    empty = tmp_path / "empty.yaml"
    empty.write_text("prompt: ['']\n")
    monkeypatch.setattr(removals, "out", tmp_path / "out")
    words = [
        word.replace("EMPTY", str(empty)) for word in [*removals.words(seed_commands.BASELINE, eraser_weights), *more]
    ]
    assert main([*words, *plan], REMOVE) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    without_anchor = [*removals.words(seed_commands.COARSE, eraser_weights), "--video_names", "bear", *more]
    assert main([word.replace("EMPTY", str(empty)) for word in [*without_anchor, "--plan"]], REMOVE) == 0  # unused


def test_everything_that_is_missing_is_told_at_once(removals, eraser_weights, tmp_path, monkeypatch, capsys):
    weights = shutil.copytree(eraser_weights, tmp_path / "w", symlinks=True)
    (weights / "stable-diffusion-inpainting" / "model_index.json").unlink()
    shutil.rmtree(weights / "diffuEraser" / "brushnet")
    (weights / "propainter").unlink()
    monkeypatch.setattr(removals, "out", tmp_path / "out")
    assert main(removals.words(seed_commands.BASELINE, weights), REMOVE) == 2
    said = capsys.readouterr().err
    for part in ("stable-diffusion-inpainting", "brushnet", "propainter"):
        assert str(weights) in said and part in said
    assert main(["--input_video", "v", "--input_mask", "m", "--save_path", str(tmp_path / "out")], REMOVE) == 2
    said = capsys.readouterr().err
    assert "--base_model_path" in said and "--propainter_model_dir" in said and "--engine propagation" in said


def test_a_plan_knows_what_is_there(run_flow, removals, eraser_weights):
    words = removals.words(MODES[3][0], eraser_weights)
    run_flow(words, REMOVE)

    def states(*more: str) -> list[str]:
        return [step.state for step in make_plan(parse([*words, *more], REMOVE.settings)[0])]

    assert states() == ["cached", "cached"]
    assert states("--save_comparison") == ["cached", "to do"] * 2
    anchored = ["--use_anchor", "--anchor_model_path", str(eraser_weights / "stable-diffusion-inpainting")]
    assert states("--force") == states(*anchored) == ["to do", "to do"]
    assert states(*anchored, "--prompt_yaml", str(removals.folder)) == ["to do", "blocked"]  # no car.yaml


def test_the_command_runs_in_pool_processes(removals, eraser_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # in a process of its own, beside whatever else runs
    monkeypatch.setattr(removals, "out", tmp_path / "out")
    command = run_command(removals.words(seed_commands.BASELINE, eraser_weights), tmp_path / "out", REMOVE.script)
    assert command.process.returncode == 0, command.text()
    command.assert_nothing_left()
    facts = [json.loads((tmp_path / "out" / name / "provenance.json").read_text())["facts"] for name in NAMES]
    for name in ("unet", "brushnet", "vae", "text_encoder", "sd_inpaint", "propainter"):
        assert [told[f"loads.{name}"] for told in facts] == [1, 1]
    phases = {record.phase for record in stored_records(tmp_path / "out")}
    assert phases == {"prior", "anchor", "remove", "comparison", "preview"}


def test_one_video_with_the_engine_that_needs_no_weights(dataset, run_flow, tmp_path):
    dataset.add("bear")
    words = ["--engine", "propagation", "--save_path", str(tmp_path / "out"), "--use_anchor", "--save_comparison"]
    words += ["--input_video", str(dataset.videos / "bear"), "--input_mask", str(dataset.masks / "bear")]
    run = run_flow(words, REMOVE)
    assert run.state.is_completed(), run.state.message
    folder = tmp_path / "out" / "single_video"
    assert {path.name for path in folder.iterdir()} == {
        *("propagation.mp4", "anchor_frame.png", "comparison_4in1.mp4", "metrics.json", "provenance.json")
    }
    assert run_flow(words, REMOVE).executed() == set()
