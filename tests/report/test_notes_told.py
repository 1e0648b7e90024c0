"""Notes of both kinds on their way to people: summary.json, the terminal, Prefect's table, old summaries."""

import json
import logging

import pytest
from stored.inputs import OUTPUT

from flows import ending, report_page, run_progress
from flows.phases import Outcome
from flows.report import PhaseSummary, Summary, VideoSummary, summarise, summarise_video, table_rows, text_table
from flows.run_progress import RunProgress
from lib.notes import Note, input_note
from lib.records import PhaseRecord
from lib.settings import AutoRefineSettings
from lib.video.datasets import Video
from tasks.result_jobs import PlayableJob

DOUBT, TOLD = input_note("interlaced (top field first)"), Note("the sound was re-encoded")


def settings(tmp_path) -> AutoRefineSettings:
    io = {"dataset": "davis", "video_root": tmp_path, "mask_root": tmp_path, "output_dir": tmp_path / "out"}
    return AutoRefineSettings.model_validate({"input_output": io, "engine": {"engine": "propagation"}})


def video(status: str = "cached") -> VideoSummary:
    """Two phases that carry the same notes."""
    phases = [PhaseSummary(phase=phase, status=status, notes=(TOLD, DOUBT)) for phase in ("coarse", "refine")]  # type: ignore[arg-type]
    return summarise_video("bear", phases)


def summary(tmp_path, *videos: VideoSummary) -> Summary:
    return summarise(videos, settings(tmp_path), 1.0, "run")


@pytest.fixture
def progress(monkeypatch) -> RunProgress:
    monkeypatch.setattr(run_progress, "get_run_logger", lambda: logging.getLogger("run"))
    return RunProgress()


def test_summaries_hold_notes_with_their_kind_and_are_read_back(tmp_path):
    made = summary(tmp_path, video())
    content = json.loads(made.model_dump_json())
    expected = [{"text": TOLD.text, "kind": "result"}, {"text": DOUBT.text, "kind": "input"}]
    assert [phase["notes"] for phase in content["videos"][0]["phases"]] == [expected, expected]
    assert Summary.model_validate_json(made.model_dump_json()).videos[0].phases[1].notes == (TOLD, DOUBT)


def test_summaries_of_earlier_versions_load_and_their_sentences_are_about_results():
    content = json.loads((OUTPUT / "summary.json").read_text(encoding="utf-8"))
    assert Summary.model_validate_json(json.dumps(content)).videos
    content["videos"][0]["phases"][0]["notes"] = ["masks were resized"]
    loaded = Summary.model_validate_json(json.dumps(content))
    assert loaded.videos[0].notes == (Note("masks were resized", "result"),)


def test_the_last_table_tells_each_note_once_those_about_files_first(tmp_path):
    lines = text_table(
        summary(tmp_path, video(), summarise_video("a cow", [PhaseSummary(phase="refine", status="done")]))
    )
    assert lines.splitlines()[:-1] == [
        "  a cow  done     refine",
        "  bear   cached   refine",
        "         note (input): interlaced (top field first)",
        "         note: the sound was re-encoded",
    ]


def test_prefects_table_has_them_in_a_column(tmp_path):
    (row,) = table_rows(summary(tmp_path, video()))
    assert row["notes"] == "note (input): interlaced (top field first); note: the sound was re-encoded"


def test_lines_on_the_terminal_tell_the_kind_of_what_was_just_done(progress, capsys):
    record = PhaseRecord(video="bear", phase="coarse", key="k", artifacts=(), notes=(TOLD, DOUBT))
    progress.note("bear", "coarse", Outcome("done", record))
    progress.note("cow", "coarse", Outcome("cached", record))
    told = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert told == [
        "coarse     bear done in 0.0 s",
        "bear note: the sound was re-encoded",
        "bear note (input): interlaced (top field first)",
        "coarse     cow cached",
    ]
    assert [video.notes for video in progress.videos()] == [(DOUBT, TOLD)] * 2


def test_what_the_page_lacks_is_a_warning_and_no_failure_of_the_video(progress, capsys):
    progress.note("bear", "refine", Outcome("done"))
    progress.note("bear", PlayableJob.phase, Outcome("failed", reason="disk full"))
    assert [video.status for video in progress.videos()] == ["done"]
    assert "warning: bear: the page cannot show all of it (playable: disk full)" in capsys.readouterr().out


def test_a_page_that_breaks_in_whatever_way_is_a_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ending, "get_run_logger", lambda: logging.getLogger("run"))

    def broken(_: Summary):
        raise ZeroDivisionError("no frames")

    assert ending._page(summary(tmp_path, video()), broken) is None
    assert "warning: the report cannot be written: ZeroDivisionError: no frames" in capsys.readouterr().out


def test_one_videos_broken_files_leave_the_others_on_the_page(tmp_path, monkeypatch):
    """Of whatever type the error is."""

    def caption_of(name: str, _: AutoRefineSettings) -> None:
        if name == "bear":
            raise KeyError("frames")

    monkeypatch.setattr(report_page, "_caption_of", caption_of)
    made = summary(tmp_path, video(), summarise_video("cow", [PhaseSummary(phase="refine", status="done")]))
    page = report_page.write_report(made).read_text(encoding="utf-8")
    assert "not all of this can be shown: bear: KeyError" in page
    assert '"name": "cow"' in page and DOUBT.text in page


def test_jobs_of_copies_have_keys_of_their_result_and_their_place(tmp_path):
    clip = Video(name="bear", video_path=tmp_path / "bear.mp4", mask_path=tmp_path / "bear")

    def job(key: str, *place: str) -> PlayableJob:
        return PlayableJob(video=clip, output_dir=tmp_path, result_key=key, result_path=tmp_path.joinpath(*place))

    jobs = [
        job("k", "final", "bear", "propagation.mp4"),
        job("l", "final", "bear", "propagation.mp4"),
        job("k", "phase1", "bear", "propagation.mp4"),
        job("k", "variants", "guidance-2.5", "bear", "propagation.mp4"),
        job("k", "bear", "propagation.mp4"),
    ]
    media = tmp_path / "report" / "media" / "bear"
    assert [job.path.relative_to(media).name for job in jobs] == [
        "result.mp4",
        "result.mp4",
        "coarse.mp4",
        "result-guidance-2.5.mp4",
        "result.mp4",
    ]
    assert len({job.cache_key for job in jobs}) == 4
    assert jobs[0].cache_key == jobs[4].cache_key
