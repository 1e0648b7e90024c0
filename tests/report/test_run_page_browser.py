"""A run's page in a real headless Chromium, opened as a file."""

from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote

import pytest
from gallery_support import needs_chromium
from playwright.sync_api import Browser, Page
from tests_support import moving_square, write_frames

from lib.report.run_page import LeftRow, RunPage, RunRow, write_run_page
from lib.video.writer import write_clip

pytestmark = needs_chromium
NAMES = {"failed": "car <b>über</b> 100%?#", "done": "bear", "cached": "dog"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("out box")
    clip, _ = moving_square(0, 6, 64, 96)
    rows = []
    for status, name in NAMES.items():
        source = write_frames(root / "inbox" / name / "video", clip)
        result = root / "outbox" / "final" / name / "propagation.mp4"
        if status != "failed":
            result.parent.mkdir(parents=True)
            write_clip(result, clip, Fraction(24))
        made = result if status != "failed" else None
        rows.append(
            RunRow(
                name,
                status,  # type: ignore[arg-type]
                phase="coarse" if made is None else "",
                reason="no object\nin the masks" if made is None else "",
                seconds=75.0,
                prompt="A wall <i>behind</i> it" if made else "",
                source=source,
                result=made,
                files=(result, result.parent) if made else (),
            )
        )
    page = RunPage(
        title="inbox 2026-11-23 02:00",
        finished_at=datetime(2026, 11, 23, 2, 30, tzinfo=timezone.utc),
        seconds=1800.0,
        rows=rows,
        left=[LeftRow("half", "still being copied", "video.mp4.part is a half copy by its name")],
        settings={"--engine": "propagation"},
        links={"result folder": root / "outbox"},
    )
    return write_run_page(page, root / "outbox" / "reports" / "2026-11-23_023000.html")


def opened(browser: Browser, path: Path, **context: object) -> tuple[Page, list[str]]:
    """The page, and everything that went wrong on it."""
    page = browser.new_page(**{"viewport": {"width": 1300, "height": 900}, **context})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(path.as_uri())
    return page, problems


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_table_tells_what_became_of_every_video(browser, written, javascript):
    page, problems = opened(browser, written, java_script_enabled=javascript)
    assert page.locator("#videos td.name").all_inner_texts() == list(NAMES.values())
    assert page.locator("#videos .chip").all_inner_texts() == list(NAMES)
    assert page.locator("#videos td.time").all_inner_texts() == ["1 min 15 s"] * 3
    assert page.locator(".reason.bad").inner_text() == "coarse: no object\nin the masks"
    assert page.locator(".prompt").first.inner_text() == "A wall <i>behind</i> it"
    assert page.locator("#left td").all_inner_texts() == [
        "half",
        "still being copied",
        "video.mp4.part is a half copy by its name",
    ]
    assert page.locator("#settings").inner_text().split() == ["--engine", "propagation"]
    assert problems == []


def test_pictures_are_shown(browser, written):
    page, problems = opened(browser, written)
    widths = page.eval_on_selector_all("img", "all => all.map(image => image.naturalWidth)")
    assert widths == [96] * 5
    assert page.locator("span", has_text="no result").count() == 1
    assert problems == []


def test_every_link_leads_to_a_file(browser, written):
    page, _ = opened(browser, written)
    links = page.eval_on_selector_all("a", "all => all.map(link => link.href)")
    paths = [Path(unquote(link.removeprefix("file://"))) for link in links]
    assert len(paths) == 10
    assert [path for path in paths if not path.exists()] == []


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1300, "light")])
def test_it_fits_phones_and_screens(browser, written, width, scheme):
    page, problems = opened(browser, written, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []
