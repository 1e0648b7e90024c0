"""Studies: every step that variants share runs once, and the table, the plots and the page have all of them."""

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import seed_commands
import yaml
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterTags
from tests_support import CAPTION, Dataset, moving_square, write_frames

from flows.command_line import parse
from flows.launch import STUDY, main
from flows.plan import make_plan
from lib.metrics.evaluation import NO_TRUTH

NAMES = ("bear", "car", "dog")
VARIANTS = ["baseline", "anchor", "text", "anchor-text", "auto-refine"]
MADE = ("coarse", "prior", "anchor", "variant", "caption", "evaluate", "preview")


@pytest.fixture
def three(dataset: Dataset) -> Dataset:
    for seed, name in enumerate(NAMES):
        dataset.add(name, seed)
        clip, masks = moving_square(seed, 6, 64, 96, with_object=False)
        write_frames(dataset.videos.parent / "clean" / name, clip)
        del masks
    return dataset


def words(data: Dataset, out: Path, *more: str) -> list[str]:
    return [*data.flags(out), "--gt_root", str(data.videos.parent / "clean"), *more]


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished")


_finished: list["Study"] = []


@pytest.fixture
def finished(three, run_flow, tmp_path, finished_folder) -> "Study":
    """The first study of three videos, run once; each test has a copy of its output directory as `tmp_path / "out"`."""
    if not _finished:
        _finished.append(Study(run_flow, words(three, finished_folder / "out")))
    shutil.copytree(finished_folder / "out", tmp_path / "out")
    return _finished[0]


class Study:
    """A finished study, with what its tasks did by their states."""

    def __init__(self, run_flow, command: list[str]) -> None:
        tag = uuid4().hex
        with tags(tag):
            run = run_flow(command, STUDY)
        self.run, self.state, self.output_dir = run, run.state, run.output_dir
        self.done, self.looked_up = self._count(tag)
        self.table = json.loads((self.output_dir / "study" / "table.json").read_text())

    def _count(self, tag: str) -> tuple[Counter[str], Counter[str]]:
        """How often each kind of task did its work, and how often its result was there."""
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(task_run_filter=TaskRunFilter(tags=TaskRunFilterTags(all_=[tag])), limit=200)
        kinds = {"baseline": "variant", **{key: "variant" for key in VARIANTS if key != "anchor"}}
        done, cached = Counter[str](), Counter[str]()
        for run in runs:
            kind = re.sub(r"-[0-9a-f]+$", "", run.task_key.rsplit(".", 1)[-1])
            assert run.state is not None
            (cached if run.state.name == "Cached" else done)[kinds.get(kind, kind)] += 1
        return done, cached

    def page(self) -> dict:
        """What the page's scripts work on."""
        text = (self.output_dir / "report" / "index.html").read_text()
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
        assert found
        return json.loads(found.group(1))


def test_shared_steps_run_once_and_a_second_run_does_nothing(three, run_flow, tmp_path, finished):
    first = finished
    assert first.state.is_completed(), first.state.message
    # The engine takes no text: five variants come to three, one of them phase 1 itself.
    assert {kind: first.done[kind] for kind in ("coarse", "caption", "variant", "evaluate", "preview")} == {
        "coarse": 3,
        "caption": 3,
        "variant": 6,
        "evaluate": 9,
        "preview": 3,
    }
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.mp4")}
    second = Study(run_flow, words(three, tmp_path / "out"))
    assert not {kind for kind in MADE if second.done[kind]}
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert second.table["rows"] == [{**row, "status": "cached"} for row in first.table["rows"]]


def test_table_plots_and_page_have_every_variant(finished):
    study, table = finished, finished.table
    assert list(table["variants"]) == VARIANTS
    assert {(row["variant"], row["video"]) for row in table["rows"]} == {(v, n) for v in VARIANTS for n in NAMES}
    with (study.output_dir / "study" / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 15
    psnr = {(line["variant"], line["video"]): float(line["psnr_inside"]) for line in lines}
    means = [np.mean([psnr[variant, name] for name in NAMES]) for variant in VARIANTS]
    assert [table["means"][variant]["psnr_inside"] for variant in VARIANTS] == pytest.approx(means)
    gaps = [psnr["anchor", name] - psnr["baseline", name] for name in NAMES]
    difference = table["differences"]["anchor"]["psnr_inside"]
    assert difference["mean"] == pytest.approx(np.mean(gaps))
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert table["differences"]["text"]["psnr_inside"]["mean"] == 0  # the baseline's own file
    page = study.page()
    assert [variant["key"] for variant in page["variants"]] == VARIANTS
    for video in page["videos"]:
        urls = {result["variant"]: result["url"] for result in video["results"]}
        assert list(urls) == VARIANTS
        assert all((study.output_dir / "report" / url).is_file() for url in urls.values())
        assert urls["text"] == urls["baseline"]
        assert urls["auto-refine"] == urls["anchor-text"] != urls["anchor"]
    assert (study.output_dir / "study" / "plots" / "psnr_inside.svg").is_file()


def test_a_sweep_and_a_comparison_of_prompts_share_what_the_ablation_made(three, run_flow, tmp_path, finished):
    sweep = Study(run_flow, words(three, tmp_path / "out", "--study", "guidance", "--guidance_scales", "0.5,2,3"))
    assert list(sweep.table["variants"]) == ["guidance-0.5", "guidance-2", "guidance-3"]
    assert sweep.table["baseline"] == "guidance-2"
    assert not {kind for kind in MADE if sweep.done[kind]}
    own = tmp_path / "own"
    own.mkdir()
    for name in NAMES:
        (own / f"{name}.yaml").write_text(yaml.safe_dump({"prompt": [f"the {name}'s wall"]}))
    prompts = Study(run_flow, words(three, tmp_path / "out", "--study", "prompts", "--prompt_yaml", str(own)))
    assert list(prompts.table["variants"]) == ["prompt-empty", "prompt-caption", "prompt-own"]
    assert {kind: prompts.done[kind] for kind in MADE if prompts.done[kind]} == {"variant": 3, "evaluate": 3}
    shown = {r["variant"]: r["prompt"] for r in prompts.page()["videos"][1]["results"]}
    assert shown["prompt-own"] == "the car's wall"


def test_a_video_that_fails_is_left_out_of_what_it_lacks(three, run_flow, tmp_path):
    for path in (three.masks / "car").iterdir():
        path.write_bytes(b"no picture")
    (tmp_path / "out").mkdir()
    study = Study(run_flow, words(three, tmp_path / "out"))
    assert study.state.is_failed()
    assert "car" in (study.state.message or "")
    assert {row["video"] for row in study.table["rows"]} == {"bear", "dog"}
    failed = next(video for video in study.page()["videos"] if video["name"] == "car")
    assert failed["status"] == "failed" and failed["reason"]


def test_without_ground_truth_the_rest_is_measured(three, run_flow, tmp_path):
    study = Study(run_flow, three.flags(tmp_path / "out"))
    assert "psnr" not in study.table["means"]["baseline"]
    assert study.table["means"]["baseline"]["warp_error_inside"] >= 0
    assert {row["unavailable"]["psnr"] for row in study.table["rows"]} == {NO_TRUTH}


def test_votes_are_counted(three, run_flow, tmp_path, finished):
    votes = [
        {"video": name, "left": "anchor", "right": "baseline", "choice": choice}
        for name, choice in zip(NAMES, ("left", "left", "tie"), strict=True)
    ]
    folder = tmp_path / "out" / "study" / "votes"
    folder.mkdir(parents=True)
    (folder / "ann.json").write_text(json.dumps({"schema_version": 1, "voter": "Ann", "votes": votes}))
    study = Study(run_flow, words(three, tmp_path / "out"))
    counted = json.loads((study.output_dir / "study" / "votes.json").read_text())
    assert counted["pairs"][0] | {"interval": 0, "p_value": 0} == {
        "one": "baseline",
        "other": "anchor",
        "wins_of_one": 0,
        "wins_of_other": 2,
        "ties": 1,
        "share_of_one": 0.0,
        "interval": 0,
        "p_value": 0,
    }
    (folder / "bob.json").write_text("{}")
    again = Study(run_flow, words(three, tmp_path / "out"))
    assert again.state.is_completed()
    assert "bob.json: holds no votes" in (again.output_dir / "report" / "index.html").read_text()


def test_a_plan_knows_the_variants(three, tmp_path, finished):
    fresh, known = (parse(words(three, tmp_path / name), STUDY.settings)[0] for name in ("fresh", "out"))
    steps = [step for step in make_plan(fresh) if step.video == "bear"]
    assert {step.state for step in steps} == {"to do"}
    # Before its caption is there nobody knows that text alone comes to the baseline.
    variants = ["anchor", "text", "anchor-text", "auto-refine"]
    assert [step.phase for step in steps if " " not in step.phase] == ["coarse", "caption", *variants]
    assert {step.state for step in make_plan(known)} == {"cached"}
    measured = {f"evaluate {variant}" for variant in ("baseline", "anchor", "anchor-text")}
    assert {step.phase for step in make_plan(known)} == {"coarse", "caption", "anchor", "anchor-text", *measured}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--study", "guidance", "--guidance_scales", "1,1"], "give different numbers"),
        (["--shards", "2"], "--shards does not go with a study"),
        (["--prompt_yaml", "missing.yaml"], "missing.yaml"),
    ],
)
def test_what_cannot_be_studied(three, tmp_path, capsys, more, said):
    assert main([*words(three, tmp_path / "out"), *more], STUDY) == 2
    assert said in capsys.readouterr().err


def test_tiny_networks_share_priors_anchors_and_captions(dataset, run_flow, eraser_weights, tmp_path):
    for seed, name in enumerate(NAMES[:2]):
        dataset.add(name, seed, frames=4, height=64, width=72)
    base = seed_commands.quick(seed_commands.AUTO_REFINE).replace("--caption_env caption_env", "")
    base = base.replace("--phase1_downscale --phase1_W 432 --phase1_H 240", "").replace("--use_text", "")
    command = seed_commands.words(base, dataset, eraser_weights, tmp_path / "out")
    study = Study(run_flow, command)
    assert study.state.is_completed(), study.state.message
    # An empty prompt and the caption: two anchors a video. "Anchor + text" is "auto-refine", the baseline is phase 1.
    assert {kind: study.done[kind] for kind in ("prior", "coarse", "caption", "anchor", "variant")} == {
        "prior": 2,
        "coarse": 2,
        "caption": 2,
        "anchor": 4,
        "variant": 6,
    }
    prompts = {r["variant"]: r["prompt"] for r in study.page()["videos"][0]["results"]}
    assert prompts == {"baseline": "", "anchor": "", **dict.fromkeys(VARIANTS[2:], CAPTION)}
    again = Study(run_flow, command)
    assert not {kind for kind in MADE if again.done[kind]}
