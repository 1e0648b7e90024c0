"""Captions by a tiny vision-language model that loads through the real classes and says a known sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests_support import CAPTION, Dataset
from tiny_vlms import write_tiny_vlm

from flows.command_line import parse
from flows.plan import make_plan
from lib.captioner.backend import CaptionerOptions, load_captioner
from lib.captioner.jobs import CaptionJob, run_caption_job
from lib.captioner.vlm import NEUTRAL_SENTENCE
from lib.captioner.words.prompts import OBJECT_USER_PROMPT
from lib.errors import InputError
from lib.runtime.fingerprints import fingerprint_path
from tasks import caption as caption_module

NAMES = ("bear", "car")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vlm(tmp_path_factory.mktemp("models") / "Tiny-VL", says=CAPTION)


@pytest.fixture
def two(dataset: Dataset) -> Dataset:
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
    return dataset


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def finished(two, run_flow, model, tmp_path, finished_folder) -> Path:
    """The output directory of a finished run; made once, copied for each test."""
    if not (finished_folder / "out").exists():
        run = run_flow(words(two, finished_folder / "out", model))
        assert run.state.is_completed(), run.state.message
    return Path(shutil.copytree(finished_folder / "out", tmp_path / "out"))


def words(dataset: Dataset, out: Path, model: Path) -> list[str]:
    return [*dataset.flags(out), "--caption_model_path", str(model)]


def prompt_file(out: Path, name: str = "bear") -> dict:
    return yaml.safe_load((out / "prompt_cache" / f"{name}.yaml").read_text())


def test_the_models_sentence_and_how_it_came_about(finished, model):
    for name in NAMES:
        told = prompt_file(finished, name)
        assert (told["prompt"], told["prompt_source"], told["prompt_model"]) == ([CAPTION], "auto_masked", "Tiny-VL")
        assert told["prompt_flags"] == []
        assert told["prompt_raw"] == [CAPTION]
        assert {"transformers", "torch", "dtype", "attention", "device"} <= told["prompt_facts"].keys()
        assert told["prompt_facts"]["model_sha256"] == fingerprint_path(model)
        job = json.loads((finished / "final" / name / "provenance.json").read_text())["job"]
        assert job["prompt"] == CAPTION


def test_the_sheet_shows_every_caption(finished):
    page = (finished / "caption_sheet.html").read_text()
    assert page.count(CAPTION) == 2
    assert page.count("data:image/jpeg;base64,") == 2
    for name in NAMES:
        assert f"prompt_cache/{name}.yaml" in page
        assert (finished / "prompt_cache" / "seen" / f"{name}.jpg").is_file()


def test_a_page_that_cannot_be_written_stops_no_video(two, run_flow, tmp_path, capsys):
    (tmp_path / "out" / "caption_sheet.html").mkdir(parents=True)
    run = run_flow([*two.flags(tmp_path / "out"), "--caption_source", "original"])
    assert run.state.is_completed(), run.state.message
    assert "caption_sheet.html: the page of captions cannot be written" in capsys.readouterr().out


def refuse(*_: object) -> None:
    raise AssertionError("the caption pool was asked")


def test_cached_captions_reach_no_pool(two, run_flow, finished, model, monkeypatch):
    monkeypatch.setattr(caption_module, "run_caption_batch", refuse)
    again = run_flow(words(two, finished, model))
    assert set(again.statuses().values()) == {"cached"}


def test_a_file_captioned_by_hand_is_kept(two, run_flow, finished, model, monkeypatch):
    """`python -m lib.captioner` knows nothing of the flow's keys; what a person had it write stays."""
    monkeypatch.setattr(caption_module, "run_caption_batch", refuse)
    path, base = finished / "prompt_cache" / "bear.yaml", CaptionJob("bear", "", "", "")
    job = replace(base, video_path=str(two.videos / "bear"), mask_path=str(two.masks / "bear"), output_yaml=str(path))
    run_caption_job(replace(job, force=True), load_captioner(CaptionerOptions("palette")))
    by_hand = path.read_bytes()
    assert run_flow(words(two, finished, model)).executed() == {("bear", p) for p in ("caption", "refine", "evaluate")}
    assert path.read_bytes() == by_hand


def test_only_the_video_without_caption_reaches_the_pool(two, run_flow, finished, model, monkeypatch):
    two.add("dog", 5)
    asked: list[str] = []
    run_batch = caption_module.run_caption_batch

    def noted(batch, *rest):
        asked.extend(job.name for job in batch.read()[1])
        return run_batch(batch, *rest)

    monkeypatch.setattr(caption_module, "run_caption_batch", noted)
    phases = ("coarse", "caption", "refine", "evaluate")
    assert run_flow(words(two, finished, model)).executed() == {("dog", phase) for phase in phases}
    assert asked == ["dog"]


def other_weights(model: Path, folder: Path) -> list[str]:
    changed = write_tiny_vlm(folder / "Tiny-VL", says=CAPTION, seed=1)
    return ["--caption_model_path", str(changed)]


def same_model_elsewhere(model: Path, folder: Path) -> list[str]:
    return ["--caption_model_path", str(shutil.copytree(model, folder / "moved" / "Tiny-VL"))]


def own_rules(model: Path, folder: Path) -> list[str]:
    (folder / "rules.txt").write_text("Describe the ground in one English sentence.")
    return ["--system_prompt_file", str(folder / "rules.txt")]


@pytest.mark.parametrize(
    ("change", "phases"),
    [
        (["--caption_max_pixels", "50176"], {"caption"}),
        (["--frame_strategy", "multi_sample"], {"caption"}),
        (["--caption_attention", "eager"], {"caption"}),
        (["--object_negative_prompt"], {"caption", "refine", "evaluate"}),
        (own_rules, {"caption"}),
        (other_weights, {"caption"}),
        (same_model_elsewhere, set()),
        (["--caption_timeout", "5"], set()),
        (["--caption_dtype", "float32"], set()),  # as chosen for the CPU
    ],
    ids=lambda value: value.__name__ if callable(value) else " ".join(sorted(value)),
)
def test_what_decides_the_sentence_is_captioned_again(two, run_flow, finished, model, tmp_path, change, phases):
    """The sentence is the same one again, so that refinement is not."""
    flags = change if isinstance(change, list) else change(model, tmp_path)
    line = [*words(two, finished, model), *flags]
    planned = {(step.video, step.phase) for step in make_plan(parse(line)[0]) if step.state == "to do"}
    run = run_flow(line)
    assert run.state.is_completed(), run.state.message
    assert run.executed() == {(name, phase) for name in NAMES for phase in phases}
    assert planned <= run.executed()


def test_the_objects_name_comes_first_in_the_negative_prompt(two, run_flow, tmp_path):
    answers = {OBJECT_USER_PROMPT: "The main object is a brown bear."}
    model = write_tiny_vlm(tmp_path / "Tiny-VL", says=CAPTION, answers=answers)
    out = tmp_path / "out"
    line = [*words(two, out, model), "--object_negative_prompt", "--n_prompt", "mud", "--caption_source", "original"]
    assert run_flow(line).state.is_completed()
    told = prompt_file(out)
    assert (told["prompt"], told["prompt_object"], told["n_prompt"]) == ([CAPTION], "brown bear", ["brown bear, mud"])
    assert told["prompt_raw"] == [CAPTION, *answers.values()]


def test_a_sentence_that_breaks_the_rules_is_asked_for_again(two, run_flow, tmp_path):
    bad = "A man walks his dog"
    model = write_tiny_vlm(tmp_path / "Tiny-VL", says=bad, answers={"previous answer": CAPTION})
    out = tmp_path / "out"
    run_flow([*words(two, out, model), "--caption_source", "original", "--video_names", "bear"])
    told = prompt_file(out)
    assert (told["prompt"], told["prompt_raw"]) == ([CAPTION], [bad, CAPTION])
    assert (told["prompt_source"], told["prompt_flags"]) == ("auto_masked", [])


def test_a_model_that_never_keeps_the_rules_is_a_fallback(two, run_flow, tmp_path):
    model = write_tiny_vlm(tmp_path / "Tiny-VL", says="I'm sorry, I can't help with that.")
    run = run_flow([*words(two, tmp_path / "out", model), "--caption_source", "original", "--video_names", "bear"])
    told = prompt_file(tmp_path / "out")
    assert (told["prompt"], told["prompt_source"]) == ([NEUTRAL_SENTENCE], "fallback")
    assert "refusal" in told["prompt_flags"]
    (note,) = run.video("bear").phases[0].notes
    assert note.text == "worth a look: " + ", ".join(told["prompt_flags"])


def test_another_picture_another_caption(two, run_flow, tmp_path):
    model = write_tiny_vlm(tmp_path / "Random-VL", seed=3)
    out = tmp_path / "out"
    run_flow([*words(two, out, model), "--caption_source", "original"])
    raw = [prompt_file(out, name)["prompt_raw"] for name in NAMES]
    assert raw[0] != raw[1]
    assert {prompt_file(out, name)["prompt_source"] for name in NAMES} <= {"auto_masked", "fallback"}


BROKEN = {
    "half": ('prompt:\n  - "a half wri', "not valid YAML"),
    "tab": ("prompt:\n\t- a field\n", "line 2"),
    "list": ("- a field\n", "expected a mapping"),
    "number": ("prompt: 7\n", "expected a string or a list of strings"),
    "blank": ("prompt: ['']\n", "found none"),
}


def test_prompt_files_of_every_kind(dataset, run_flow, tmp_path):
    """Refused ones fail their own video and stay as they are; an empty one counts as none; a person's string counts."""
    out = tmp_path / "out"
    folder = out / "prompt_cache"
    folder.mkdir(parents=True)
    for seed, name in enumerate((*BROKEN, "empty", "string")):
        dataset.add(name, seed, frames=3)
    texts = {name: text for name, (text, _) in BROKEN.items()} | {"empty": "", "string": "prompt: by hand\n"}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    run = run_flow([*dataset.flags(out), "--caption_source", "original"])
    assert sorted(run.summary.names("failed")) == sorted(BROKEN)
    for name, (text, said) in BROKEN.items():
        assert f"{name}.yaml" in run.video(name).reason
        assert said in run.video(name).reason
        assert (folder / f"{name}.yaml").read_text() == text
    assert run.summary.names("done") == ["empty", "string"]
    assert (run.video("string").prompt, run.video("empty").prompt != "") == ("by hand", True)
    page = (out / "caption_sheet.html").read_text()
    assert all(f"{name}.yaml" in page for name in texts)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda model: (model / "config.json").unlink(), "config.json"),
        (lambda model: next(model.glob("*.safetensors")).unlink(), "safetensors"),
        (lambda model: (model / "tokenizer.json").unlink(), "tokenizer"),
        (lambda model: shutil.rmtree(model), "Tiny-VL"),
    ],
)
def test_a_model_that_is_not_whole_is_told_before_any_work(two, run_flow, model, tmp_path, damage, said):
    broken = Path(shutil.copytree(model, tmp_path / "Tiny-VL"))
    damage(broken)
    run = run_flow_error(run_flow, words(two, tmp_path / "out", broken))
    assert said in run
    assert not (tmp_path / "out" / "phase1").exists()


def run_flow_error(run_flow, line: list[str]) -> str:
    from flows.auto_refine import auto_refine

    settings, _ = parse(line)
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    error = auto_refine(settings, return_state=True).result(raise_on_failure=False)
    assert isinstance(error, InputError), error
    return str(error)


def test_flags_that_need_a_model_are_refused_without_one(two, tmp_path):
    with pytest.raises(InputError, match=r"--object_negative_prompt.*--caption_model_path"):
        parse([*two.flags(tmp_path), "--object_negative_prompt"])
