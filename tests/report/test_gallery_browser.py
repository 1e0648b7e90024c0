"""The report page in a real headless Chromium, opened as a file: sorted, filtered, opened, played and compared."""

import dataclasses
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from gallery_support import (
    FPS,
    FRAMES,
    INTERLACED,
    NAMES,
    RESIZED,
    SIZE,
    frame_in,
    marked,
    needs_chromium,
    open_video,
    picture,
    plain_gallery,
    settled,
    times,
    wait_until,
)
from playwright.sync_api import Page, expect

from lib.report.gallery import Clip, write_gallery
from lib.video.presentation import Presentation
from lib.video.writer import write_clip

pytestmark = needs_chromium
HALF_FRAME = 0.5 / float(FPS)


def names(page: Page) -> list[str]:
    return page.locator("#table td.name").all_inner_texts()


def shown_frames(page: Page) -> set[int]:
    page.add_style_tag(content=".cells video { max-height: none !important }")  # no margins beside the pictures
    settled(page)
    return {frame_in(picture(video)) for video in page.locator(".cells video").all()}


def test_the_table_tells_what_became_of_every_video(opened, plain):
    page = opened(plain)
    assert names(page) == list(NAMES.values())
    assert page.locator("#table .chip").all_inner_texts() == list(NAMES)
    assert page.locator("#table .reason").all_inner_texts() == ["refine: out of memory\nat 1920x1080", "scan: no masks"]
    assert page.locator("#table tr", has_text="bear").locator("td.number").first.inner_text() == "142.8"


def test_a_click_on_a_head_sorts_and_missing_numbers_stay_last(opened, plain):
    page = opened(plain)
    head = page.locator("#table th", has_text="PSNR in the hole")
    head.get_by_role("button").click()
    assert names(page)[:2] == ["bear", "dog"]  # 22 and 27 dB
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")  # the button still has the focus
    assert names(page)[:2] == ["dog", "bear"]
    assert page.locator("#table [aria-sort]").count() == 1


def test_status_and_words_filter(opened, plain):
    page = opened(plain)
    page.locator("#states button", has_text="failed").click()
    assert names(page) == [NAMES["failed"]]
    page.locator("#states button", has_text="all").click()
    page.locator("#search").fill("LIGHT courtyard")
    assert names(page) == ["bear", "dog"]
    page.locator("#search").fill("memory")
    assert names(page) == [NAMES["failed"]]
    page.locator("#search").fill("nothing of the kind")
    expect(page.locator("#none")).to_be_visible()


def test_a_click_opens_what_is_known_of_a_video(opened, plain):
    page = opened(plain)
    assert page.locator("video").count() == 0
    viewer = open_video(page, "bear")
    assert viewer.locator("figcaption").all_inner_texts() == ["source", "mask", "coarse", "result"]
    told = viewer.inner_text()
    for text in ("mentions the object", "refine 2 min 05 s", "3.67 GiB", "Judge (a model's opinion, no metric): clean"):
        assert text in told
    assert "no weights at weights/metrics/lpips" in told
    widths = viewer.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
    assert widths == [SIZE[1], SIZE[1]]  # grayed frame, anchor
    viewer.locator("summary", has_text="Flicker").click()
    expect(viewer.get_by_text("Amplitude of the change")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("video")).to_have_count(0)


def test_failures_show_their_reason_and_what_there_is(opened, plain):
    page = opened(plain)
    viewer = open_video(page, NAMES["failed"])
    assert viewer.locator(".reason").first.inner_text() == "refine: out of memory\nat 1920x1080"
    assert viewer.locator("figcaption").all_inner_texts() == ["source", "mask"]
    page.keyboard.press("n")
    assert "There is nothing to play." in viewer.inner_text()


def test_all_clips_play_under_one_clock_and_stop_at_one_frame(opened, plain):
    page = opened(plain)
    open_video(page, "bear")
    page.keyboard.press(" ")
    wait_until(page, "document.querySelector('dialog[open] video').currentTime > 0.4")
    spread = page.evaluate("""async () => {
        const videos = [...document.querySelectorAll('dialog[open] video')];
        const seen = [];
        for (let count = 0; count < 30; count += 1) {
            await new Promise(requestAnimationFrame);
            const times = videos.map(video => video.currentTime);
            seen.push(Math.max(...times) - Math.min(...times));
        }
        return seen.sort((a, b) => a - b);
    }""")
    assert spread[len(spread) * 9 // 10] < HALF_FRAME
    page.keyboard.press(" ")
    assert len(set(times(page))) == 1
    assert len(shown_frames(page)) == 1
    stopped = times(page)
    page.wait_for_timeout(200)
    assert times(page) == stopped


def test_frames_are_stepped_one_by_one(opened, plain):
    page = opened(plain)
    viewer = open_video(page, "dog")
    shown = [shown_frames(page)]
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowLeft", "Home"):
        page.keyboard.press(key)
        shown.append(shown_frames(page))
    assert shown == [{0}, {1}, {2}, {1}, {FRAMES - 1}, {FRAMES - 2}, {0}]
    viewer.get_by_role("button", name="One frame on").click()
    assert shown_frames(page) == {1}
    viewer.locator(".seek").fill("17")
    assert shown_frames(page) == {17}
    assert viewer.locator("output").inner_text().startswith(f"frame 18 of {FRAMES} ")


def test_a_loop_begins_again_and_without_it_the_last_frame_stays(opened, plain):
    page = opened(plain)
    viewer = open_video(page, "bear")
    viewer.locator(".seek").fill(str(FRAMES - 6))
    settled(page)
    viewer.locator(".play").click()
    wait_until(page, "document.querySelector('.cells video').currentTime < 0.5")
    assert viewer.locator(".play").inner_text() == "Pause"
    viewer.get_by_label("loop").uncheck()
    expect(viewer.locator(".play")).to_have_text("Play", timeout=10_000)
    assert shown_frames(page) == {FRAMES - 1}


def test_next_and_previous_follow_the_table(opened, plain):
    page = opened(plain)
    page.locator("#table th", has_text="Video").get_by_role("button").click()
    order = names(page)
    open_video(page, order[0])
    seen = []
    for key in "nnnnp":
        page.keyboard.press(key)
        seen.append(page.locator("#viewer-title").evaluate("title => title.firstChild.data"))
    assert seen == [*order[1:], order[0], order[3]]


def test_addresses_lead_to_videos_and_back(opened, plain):
    page = opened(plain, "#video=dog")
    assert page.locator("#viewer-title").inner_text().startswith("dog")
    page.keyboard.press("Escape")
    expect(page).to_have_url(plain.as_uri())
    open_video(page, NAMES["failed"])
    address = page.url
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
    again = opened(plain, address[address.index("#") :])
    assert again.locator("#viewer-title").inner_text().startswith(NAMES["failed"])
    expect(opened(plain, "#video=%E0%A4%A").locator("#viewer")).to_be_hidden()  # no address of a video


def test_every_link_leads_to_a_file(opened, plain):
    page = opened(plain)
    viewer = open_video(page, "bear")
    urls = viewer.locator("a, video, img").evaluate_all("all => all.map(one => one.href || one.src)")
    assert len(urls) == 2 + 4 + 2
    assert [url for url in urls if not Path(unquote(urlsplit(url).path)).exists()] == []


@pytest.mark.parametrize("kind", ["plain", "study"])
def test_notes_about_files_differ_from_those_about_results_and_each_is_there_once(opened, request, kind):
    page = opened(request.getfixturevalue(kind))
    row = page.locator("#table tr", has_text="bear")
    assert row.locator(".doubt").inner_text() == "1 note about your files"
    viewer = open_video(page, "bear")
    notes = [viewer.locator(f".notes.{kind}") for kind in ("input", "result")]
    assert [note.locator("h3").inner_text() for note in notes] == ["About your files", "About the result"]
    assert [note.locator("li").all_inner_texts() for note in notes] == [[INTERLACED], [RESIZED.text]]
    assert viewer.inner_text().count(INTERLACED) == viewer.inner_text().count(RESIZED.text) == 1
    grounds = [note.evaluate("note => getComputedStyle(note).backgroundColor") for note in notes]
    assert grounds[0] != grounds[1]
    assert viewer.get_by_text("Not carried over from the source: stream 2 (data)").count() == (
        3 if kind == "study" else 1
    )
    page.keyboard.press("Escape")
    page.locator("#search").fill("interlaced")
    assert "bear" in names(page)


def test_a_copy_is_played_and_the_file_itself_is_linked(opened, tmp_path):
    gallery = plain_gallery(tmp_path / "media")
    itself = tmp_path / "deep.mp4"
    itself.write_bytes(b"as if no browser played it")
    bear = gallery.videos[2]
    coarse = Clip("coarse", itself, bear.clips[2].file)
    result = dataclasses.replace(bear.results[0], result=itself, playable=bear.results[0].result, files=[itself])
    video = dataclasses.replace(bear, clips=[*bear.clips[:2], coarse], results=[result])
    page = opened(write_gallery(dataclasses.replace(gallery, videos=[video]), tmp_path / "index.html"))
    viewer = open_video(page, "bear")
    assert viewer.get_by_text("This browser cannot play").count() == 0
    captions = viewer.locator("figcaption").all_inner_texts()
    assert captions[:2] == ["source", "mask"]
    assert captions[2:] == [f"{label} · a copy is played of the file" for label in ("coarse", "result")]
    links = viewer.locator("a").evaluate_all("all => all.map(one => one.href)")
    assert links == [itself.as_uri()] * 3  # beside the clips, and among the files
    page.keyboard.press("ArrowRight")
    assert shown_frames(page) == {1}


def test_uneven_frames_are_stepped_one_by_one(opened, tmp_path):
    """Some last 20 ms and others 300."""
    lasting = [Fraction(20 if index % 3 else 300, 1000) for index in range(9)]
    starts = [sum(lasting[:index], Fraction(0)) for index in range(10)]
    shown = Presentation(Fraction(24), tuple(starts[:-1]), lasting[-1])
    for name in ("source", "result"):
        write_clip(tmp_path / f"{name}.mp4", marked(np.full((9, *SIZE, 3), 90, np.uint8)), shown)
    gallery = plain_gallery(tmp_path / "media")
    bear = gallery.videos[2]
    result = dataclasses.replace(bear.results[0], result=tmp_path / "result.mp4")
    video = dataclasses.replace(
        bear,
        clips=[Clip("source", tmp_path / "source.mp4")],
        results=[result],
        times=[float(start) for start in starts],
    )
    page = opened(write_gallery(dataclasses.replace(gallery, videos=[video]), tmp_path / "index.html"))
    viewer = open_video(page, "bear")
    seen = [shown_frames(page)]
    for _ in range(8):
        page.keyboard.press("ArrowRight")
        seen.append(shown_frames(page))
    assert seen == [{index} for index in range(9)]
    assert viewer.locator("output").inner_text().startswith("frame 9 of 9 ")
    page.keyboard.press("ArrowLeft")
    assert shown_frames(page) == {7}


def test_clips_can_be_hidden(opened, plain):
    page = opened(plain)
    viewer = open_video(page, "bear")
    viewer.get_by_role("group", name="Clips shown").get_by_role("button", name="mask").click()
    assert viewer.locator("figcaption").all_inner_texts() == ["source", "coarse", "result"]
    page.keyboard.press("n")
    assert viewer.locator("figcaption").all_inner_texts() == ["source", "coarse", "result"]


def test_a_clip_that_cannot_be_played_does_not_stop_the_others(opened, plain, tmp_path):
    gallery = plain_gallery(tmp_path / "media")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    video = dataclasses.replace(gallery.videos[2], clips=[Clip("source", broken), *gallery.videos[2].clips[1:]])
    page = opened(write_gallery(dataclasses.replace(gallery, videos=[video]), tmp_path / "index.html"))
    viewer = open_video(page, "bear")
    assert viewer.get_by_text("This browser cannot play").count() == 1
    page.keyboard.press("ArrowRight")
    assert shown_frames(page) == {1}
    page.keyboard.press(" ")
    wait_until(page, "document.querySelector('.cells video').currentTime > 0.3")


def test_a_hundred_videos_open_at_once_and_load_nothing_unseen(opened, tmp_path):
    gallery = plain_gallery(tmp_path / "media")
    videos = []
    for index in range(100):
        thumbnail = tmp_path / f"{index}.jpg"
        thumbnail.hardlink_to(gallery.videos[2].thumbnail or "")
        videos.append(dataclasses.replace(gallery.videos[2], name=f"video {index}", thumbnail=thumbnail))
    page = opened(write_gallery(dataclasses.replace(gallery, videos=videos), tmp_path / "index.html"))
    took = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert took < 3000  # milliseconds; some hundred on an idle machine
    assert page.locator("#table tbody tr").count() == 100
    assert page.locator("video").count() == 0
    loaded = "all => all.filter(image => image.complete && image.naturalWidth).length"
    assert 0 < page.locator("#table img").evaluate_all(loaded) < 60
    page.locator("#table th", has_text="Video").get_by_role("button").click()
    assert names(page)[:3] == ["video 0", "video 1", "video 2"]
    open_video(page, "video 99")
    assert page.locator("video").count() == 4


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (390, "light"), (1440, "light"), (1440, "dark")])
@pytest.mark.parametrize("kind", ["plain", "study"])
def test_it_fits_phones_and_screens(opened, request, kind, width, scheme):
    touch = width < 700
    options = {"viewport": {"width": width, "height": 844}, "has_touch": touch, "is_mobile": touch}
    page = opened(request.getfixturevalue(kind), color_scheme=scheme, **options)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    viewer = open_video(page, "bear")
    for key in ("g", "b"):
        page.keyboard.press(key)
        settled(page)
        assert viewer.evaluate("viewer => viewer.scrollWidth - viewer.clientWidth") <= 0
        controls = viewer.locator(".controls").bounding_box()
        assert controls
        assert controls["y"] + controls["height"] <= 844 + 1  # in reach while the clips are seen
    page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_phones_sort_by_a_list(opened, plain):
    page = opened(plain, viewport={"width": 390, "height": 844})
    page.locator("#sort").select_option(label="PSNR\u00a0↑ ▼")
    assert names(page)[:2] == ["dog", "bear"]
