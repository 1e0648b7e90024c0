"""What a run's page holds, and the frames that it shows."""

import base64
import io
import re
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests_support import write_frames

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.report.clip_frames import before_and_after, frame_at
from lib.report.run_page import LeftRow, RunPage, RunRow, duration, write_run_page
from lib.video.writer import write_clip

FPS = Fraction(24)


def gray_clip(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Frame t has the gray value 20 + 2 t."""
    levels = np.arange(count, dtype=np.uint8) * 2 + 20
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def level(uri: str) -> float:
    """The mean gray value of a data URI's picture."""
    kind, content = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    return float(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).mean())


def write_page(tmp_path: Path, rows: list[RunRow], **more: object) -> str:
    page = RunPage("a night", datetime(2026, 11, 23, 2, 30, tzinfo=timezone.utc), 1800.0, rows, **more)
    return write_run_page(page, tmp_path / "reports" / "page.html").read_text(encoding="utf-8")


def test_both_pictures_show_the_middle_of_the_result(tmp_path):
    source = write_frames(tmp_path / "source", gray_clip(100))
    write_clip(tmp_path / "result.mp4", gray_clip(60), FPS)
    before, after = before_and_after(source, tmp_path / "result.mp4")
    assert level(before) == pytest.approx(80, abs=4)
    assert level(after) == pytest.approx(80, abs=4)


def test_a_source_alone_shows_its_own_middle(tmp_path):
    write_clip(tmp_path / "source.mp4", gray_clip(60), FPS)
    before, after = before_and_after(tmp_path / "source.mp4", None)
    assert level(before) == pytest.approx(80, abs=4)
    assert after == ""


@pytest.mark.parametrize("index", [0, 1, 29, 59])
def test_frames_are_found_by_their_time(tmp_path, index):
    write_clip(tmp_path / "clip.mp4", gray_clip(60), FPS)
    assert frame_at(tmp_path / "clip.mp4", index / 24).mean() == pytest.approx(20 + 2 * index, abs=2)


def test_after_the_end_comes_the_last_frame(tmp_path):
    write_clip(tmp_path / "clip.mp4", gray_clip(60), FPS)
    assert frame_at(tmp_path / "clip.mp4", 100.0).mean() == pytest.approx(138, abs=2)
    assert frame_at(write_frames(tmp_path / "clip", gray_clip(60)), 100.0).mean() == 138


def test_what_cannot_be_read_has_no_picture(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    (tmp_path / "empty").mkdir()
    assert before_and_after(broken, tmp_path / "missing.mp4") == ("", "")
    assert before_and_after(tmp_path / "empty", None) == ("", "")
    write_clip(tmp_path / "whole.mp4", gray_clip(60), FPS)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes((tmp_path / "whole.mp4").read_bytes()[:-600])
    assert before_and_after(cut, None) == ("", "")
    with pytest.raises(InputError, match="broken"):
        frame_at(broken, 0.0)


def test_what_failed_comes_first_and_counts_are_told(tmp_path):
    statuses = {"a": "cached", "b": "done", "c": "failed", "d": "skipped", "e": "done", "f": "failed"}
    html = write_page(tmp_path, [RunRow(name, status) for name, status in statuses.items()])
    assert re.findall(r'class="name" dir="auto">(\w)<', html) == ["c", "f", "d", "b", "e", "a"]
    assert re.findall(r'class="chip \w+">(\d \w+)<', html) == ["2 failed", "1 skipped", "2 done", "1 cached"]


def test_everything_is_escaped_and_nothing_comes_from_outside(tmp_path):
    nasty = "<script>alert(1)</script>&\"'\udcff"
    row = RunRow(
        nasty,
        "failed",
        nasty,
        nasty,
        1.0,
        nasty,
        (Note(nasty), input_note(nasty)),
        Path(tmp_path / nasty[:8]),
        None,
        (),
    )
    html = write_page(
        tmp_path,
        [row],
        left=[LeftRow(nasty, nasty, nasty)],
        settings={nasty: nasty},
        links={nasty: tmp_path / "a?b#c"},
        remarks=[nasty],
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html.replace("http-equiv", "")
    assert 'href="../a%3Fb%23c"' in html


def test_each_note_is_told_once_and_doubts_about_files_look_different(tmp_path):
    doubt, told = input_note("interlaced"), Note("audio was re-encoded")
    html = write_page(tmp_path, [RunRow("bear", "cached", notes=(told, doubt, told, doubt))])
    assert re.findall(r'<p class="(\w+)" dir="auto">(.*?)</p>', html) == [
        ("doubt", "<b>about your files:</b> interlaced"),
        ("soft", "audio was re-encoded"),
    ]
    assert ".doubt {" in html


def test_an_empty_run_and_its_settings_are_told(tmp_path):
    html = write_page(tmp_path, [])
    assert "no videos" in html
    assert "The defaults." in html
    assert "2026-11-23 02:00 to 2026-11-23 02:30 UTC, 30 min 00 s" in html


def test_the_page_is_written_in_one_step(tmp_path):
    write_page(tmp_path, [])
    write_page(tmp_path, [RunRow("bear", "done")])
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.44, "0.4 s"), (12.3, "12 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_times_read_well(seconds, shown):
    assert duration(seconds) == shown
