"""What the report page holds, without a browser."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

from gallery_support import plain_gallery, study_gallery

from lib.notes import Note, input_note
from lib.report.gallery import Gallery, GalleryVideo, Variant, VariantResult, write_gallery


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S
    )
    assert found
    return json.loads(found[1])


def small(gallery: Gallery, **changes: Any) -> Gallery:
    video = GalleryVideo("bear", "done", results=[VariantResult("result", "done", **changes)])
    return dataclasses.replace(gallery, videos=[video])


def gallery_without_videos() -> Gallery:
    from datetime import datetime, timezone

    from lib.metrics.definitions import METRICS

    finished = datetime(2026, 11, 23, tzinfo=timezone.utc)
    return Gallery("empty", finished, 0.0, [], [Variant("result", "Result")], list(METRICS.values()))


def test_an_empty_run_has_a_page(tmp_path):
    page = write_gallery(gallery_without_videos(), tmp_path / "report" / "index.html")
    assert data_of(page)["videos"] == []
    assert list(page.parent.iterdir()) == [page]


def test_numbers_that_json_cannot_hold_become_reasons(tmp_path):
    gallery = small(gallery_without_videos(), values={"psnr": math.inf, "ssim": math.nan, "psnr_inside": 31.25})
    (video,) = data_of(write_gallery(gallery, tmp_path / "index.html"))["videos"]
    (result,) = video["results"]
    assert result["values"] == {"psnr_inside": 31.25}
    assert result["unavailable"] == {"psnr": "it came out as inf", "ssim": "it came out as nan"}


def test_what_needs_attention_comes_first(tmp_path):
    statuses = {"b": "cached", "a": "cached", "d": "done", "s": "skipped", "f": "failed"}
    videos = [GalleryVideo(name, status) for name, status in statuses.items()]  # type: ignore[arg-type]
    gallery = dataclasses.replace(gallery_without_videos(), videos=videos)
    shown = data_of(write_gallery(gallery, tmp_path / "index.html"))["videos"]
    assert [video["name"] for video in shown] == ["f", "s", "d", "a", "b"]


def test_links_are_relative_so_that_the_folder_can_be_moved(tmp_path):
    gallery = small(gallery_without_videos(), result=tmp_path / "final" / "a 100%#?" / "diffueraser.mp4")
    page = write_gallery(gallery, tmp_path / "report" / "index.html")
    assert data_of(page)["videos"][0]["results"][0]["url"] == "../final/a%20100%25%23%3F/diffueraser.mp4"
    assert str(tmp_path) not in page.read_text()


def test_names_cannot_end_the_script(tmp_path):
    name = "</script><img src=x onerror=alert(1)>\u2028"
    gallery = dataclasses.replace(gallery_without_videos(), videos=[GalleryVideo(name, "done")])
    page = write_gallery(gallery, tmp_path / "index.html")
    assert data_of(page)["videos"][0]["name"] == name
    assert "onerror=alert(1)>" not in page.read_text()


def test_no_network_in_any_page(tmp_path):
    for name, gallery in (("plain", plain_gallery(tmp_path / "a")), ("study", study_gallery(tmp_path / "b"))):
        text = write_gallery(gallery, tmp_path / name / "index.html").read_text()
        assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text) == []
        assert "default-src 'none'" in text


def test_a_page_of_a_hundred_videos_is_small(tmp_path):
    gallery = plain_gallery(tmp_path / "media")
    videos = [dataclasses.replace(gallery.videos[2], name=f"video {index}") for index in range(100)]
    page = write_gallery(dataclasses.replace(gallery, videos=videos), tmp_path / "index.html")
    assert page.stat().st_size < 400_000


def test_each_note_is_there_once_and_says_whom_it_is_about(tmp_path):
    """Phases and variants carry the same ones."""
    doubt, told, own = input_note("interlaced"), Note("sound re-encoded"), Note("of one variant")
    results = [VariantResult("a", "done", notes=(told, doubt)), VariantResult("b", "done", notes=(told, own, doubt))]
    video = GalleryVideo("bear", "done", notes=(told, doubt, Note("worth a look")), results=results)
    gallery = dataclasses.replace(gallery_without_videos(), videos=[video])
    (shown,) = data_of(write_gallery(gallery, tmp_path / "index.html"))["videos"]
    assert shown["notes"] == [
        {"text": "interlaced", "kind": "input", "variants": []},
        {"text": "sound re-encoded", "kind": "result", "variants": []},
        {"text": "worth a look", "kind": "result", "variants": []},
        {"text": "of one variant", "kind": "result", "variants": ["b"]},
    ]


def test_copies_are_played_and_the_files_themselves_are_linked(tmp_path):
    copy, file = tmp_path / "report" / "media" / "bear" / "result.mp4", tmp_path / "final" / "bear" / "x.mp4"
    gallery = small(gallery_without_videos(), result=file, playable=copy, not_carried="stream 2 (data)")
    (video,) = data_of(write_gallery(gallery, tmp_path / "report" / "index.html"))["videos"]
    (result,) = video["results"]
    assert (result["url"], result["file"]) == ("media/bear/result.mp4", "../final/bear/x.mp4")
    assert result["notCarried"] == "stream 2 (data)"
