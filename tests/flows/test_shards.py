"""A batch in parts: how it is split, what happens to parts whose run is lost, and what must be there."""

from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed, Failed, Running, State
from tests_support import Dataset

from flows import shards as shards_module
from flows.command_line import parse
from flows.inputs import find_videos
from flows.launch import AUTO_REFINE, main
from flows.report import summarise, summarise_failure, write_summary
from flows.shards import Shard, check_shards, run_shards, shard_summary, split
from lib.errors import InputError
from lib.settings import AutoRefineSettings


@pytest.fixture
def settings(dataset: Dataset, tmp_path: Path) -> AutoRefineSettings:
    for name, frames in {"long": 12, "middle": 6, "short": 3, "tiny": 2}.items():
        dataset.add(name, frames=frames)
    return parse([*dataset.flags(tmp_path / "out"), "--shards", "2"])[0].with_absolute_paths()


@pytest.fixture
def parts(settings: AutoRefineSettings) -> list[Shard]:
    return split(settings, find_videos(settings).videos)


def test_parts_are_alike_in_size(parts: list[Shard]):
    assert [part.names for part in parts] == [("long",), ("middle", "short", "tiny")]
    assert [part.title for part in parts] == ["part 1 of 2", "part 2 of 2"]
    for part in parts:
        assert part.settings.execution.shards == 0
        assert part.settings.input_output.video_names == part.names
        assert [video.name for video in find_videos(part.settings).videos] == sorted(part.names)


def test_there_is_no_part_without_a_video(settings: AutoRefineSettings):
    many = settings.model_copy(update={"execution": settings.execution.model_copy(update={"shards": 9})})
    assert [part.names for part in split(many, find_videos(many).videos)] == [
        ("long",),
        ("middle",),
        ("short",),
        ("tiny",),
    ]


class Boxes:
    """In place of the shard pool: every part gets the next of the given ends; a completed one leaves its summary."""

    def __init__(self, *ends: State[Any]) -> None:
        self.ends, self.started = list(ends), 0

    def __call__(self, _deployment: str, parameters: dict[str, Any], tags: list[str], **options: Any) -> FlowRun:
        end, self.started = self.ends.pop(0), self.started + 1
        with get_client(sync_client=True) as client:
            run = client.create_flow_run(part_run, name=options["flow_run_name"], tags=tags, state=Running())
            if end.is_completed() or end.message == "1 of 1 videos failed: long":
                settings = AutoRefineSettings.model_validate(parameters["settings"])
                videos = [summarise_failure(name, "coarse", "broken") for name in settings.input_output.video_names]
                summary = summarise(videos, settings, 1.0, str(run.id))
                write_summary(summary, shard_summary(settings.output_dir, run.id))
            if not end.is_running():
                client.set_flow_run_state(run.id, end, force=True)
            return client.read_flow_run(run.id)


@flow
def part_run() -> None: ...


def reasons(parts: list[Shard]) -> dict[str, str]:
    @flow
    def batch() -> list[Any]:
        return run_shards(parts)

    return {video.name: video.reason for video in batch()}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, prefect_server: None):
    def use(boxes: Boxes) -> Boxes:
        monkeypatch.setattr(shards_module, "_POLL_SECONDS", 0.05)
        monkeypatch.setattr(shards_module, "run_deployment", boxes)
        return boxes

    return use


def test_what_a_part_tells_is_told(use, parts: list[Shard]):
    boxes = use(Boxes(Failed(message="1 of 1 videos failed: long")))
    assert reasons(parts[:1]) == {"long": "broken"}
    assert boxes.started == 1


def test_a_part_whose_box_is_lost_runs_again(use, parts: list[Shard]):
    boxes = use(Boxes(Crashed(message="no sign of life"), Crashed(message="no sign of life"), Completed()))
    assert reasons(parts[:1]) == {"long": "broken"}
    assert boxes.started == 3


def test_a_part_that_is_lost_again_and_again_fails(use, parts: list[Shard]):
    boxes = use(Boxes(*[Crashed(message="no sign of life")] * 3))
    assert reasons(parts[:1]) == {"long": "part 1 of 2 ended Crashed: no sign of life"}
    assert boxes.started == 3


def test_a_part_that_cannot_begin_says_why_for_all_its_videos(use, parts: list[Shard]):
    boxes = use(Boxes(Failed(message="weights missing")))
    said = "part 2 of 2 ended Failed: weights missing"
    assert reasons(parts[1:]) == dict.fromkeys(("middle", "short", "tiny"), said)
    assert boxes.started == 1


def test_a_part_that_is_still_at_work_is_waited_for(use, parts: list[Shard]):
    """After a crash of the run that split the batch: its second try finds what the first one started."""
    boxes = use(Boxes(Running()))

    @flow
    def batch() -> list[Any]:
        left = boxes("", {}, [f"batch-{flow_run.root_flow_run_id}"], flow_run_name="part 1 of 2")
        found.append(shards_module._start(parts[0], "part 1 of 2", 0).id == left.id)
        return []

    found: list[bool] = []
    batch()
    assert found == [True]
    assert boxes.started == 1


def test_a_single_video_has_no_parts():
    single, _ = parse(["--input_video", "v.mp4", "--input_mask", "m.png", "--output_dir", "o", "--shards", "2"])
    with pytest.raises(InputError, match=r"--shards splits a folder of videos"):
        check_shards(single)


def test_a_server_without_deployments_is_told(prefect_server: None, settings: AutoRefineSettings):
    with pytest.raises(InputError, match=r"has no deployment auto-refine/auto-refine-shard.*deployments.server_setup"):
        check_shards(settings)


def test_without_a_server_nothing_is_split(dataset: Dataset, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    dataset.add("bear")
    assert main([*dataset.flags(tmp_path / "out"), "--shards", "2"], AUTO_REFINE) == 2
    assert "--shards hands parts of the batch to workers of a Prefect server" in capsys.readouterr().err
