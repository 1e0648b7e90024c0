"""What `--plan` tells of a video's files, and that no video ends it."""

import pytest
from odd_clips import write_masks, write_video

from flows.command_line import parse
from flows.launch import REMOVE, main
from flows.plan import RemovePlanner, make_plan, plan_text

INTERLACED = "interlaced (top field first) and worked on as it is; --deinterlace makes whole frames of it"


@pytest.fixture
def words(tmp_path) -> list[str]:
    """A plain video and an interlaced one."""
    write_video(tmp_path / "v" / "plain.mp4")
    write_video(tmp_path / "v" / "fields.mp4", options={"x264-params": "tff=1"}, field_order=2)
    for name in ("plain", "fields"):
        write_masks(tmp_path / "m" / name)
    roots = ["--video_root", str(tmp_path / "v"), "--mask_root", str(tmp_path / "m")]
    return [
        "--engine",
        "propagation",
        "--dataset",
        "custom",
        *roots,
        "--save_path",
        str(tmp_path / "out"),
        "--no_metrics",
    ]


def test_notes_stand_below_their_video_and_are_not_counted(words, capsys):
    assert main([*words, "--plan"], REMOVE) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["fields", "remove"], ["fields", "note"], ["plain", "remove"]]
    assert lines[1] == f"fields  note        {INTERLACED}"
    assert lines[3:] == ["0 cached, 2 to do, 0 blocked"]


def test_doubts_block_a_video_where_they_are_errors(words):
    steps = make_plan(parse([*words, "--strict_inputs"], REMOVE.settings)[0])
    assert [(step.video, step.state) for step in steps] == [("fields", "blocked"), ("plain", "to do")]
    assert steps[0].why.endswith(f"fields.mp4: {INTERLACED} (an error because of --strict_inputs)")
    assert plan_text(steps).count(INTERLACED) == 1


def test_whatever_goes_wrong_with_one_video_blocks_it_alone(words, monkeypatch):
    planned = RemovePlanner.steps

    def steps(self, video, fingerprints):
        if video.name == "fields":
            raise ZeroDivisionError("no frames")
        return planned(self, video, fingerprints)

    monkeypatch.setattr(RemovePlanner, "steps", steps)
    found = make_plan(parse(words, REMOVE.settings)[0])
    assert [(step.video, step.state) for step in found] == [("fields", "blocked"), ("plain", "to do")]
    assert found[0].why.endswith("fields.mp4: ZeroDivisionError: no frames")
    assert INTERLACED in plan_text(found)


def test_the_run_gives_the_reason_that_the_plan_gave(words, run_flow):
    words = [*words, "--strict_inputs"]
    told = next(step.why for step in make_plan(parse(words, REMOVE.settings)[0]) if step.state == "blocked")
    run = run_flow(words, REMOVE)
    assert run.video("fields").reason == told
    assert run.video("plain").status == "done"
