"""The caption sheet in a real headless Chromium."""

from pathlib import Path

import pytest
from gallery_support import needs_chromium
from PIL import Image
from playwright.sync_api import Browser, Page

from lib.report.caption_sheet import SheetRow, failed_row, write_caption_sheet

pytestmark = needs_chromium

SENTENCES = {
    "bear": "A mossy forest floor with fallen trunks",
    "bus": "A wide avenue between brick houses",
    "camel": "A sandy paddock behind a low <b>wall</b>",
}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bear is flagged, bus edited, camel a fallback, dog failed; all but dog have a picture."""
    folder = tmp_path_factory.mktemp("results")
    rows = [
        _row(folder, "bear", flags=("mask",), source="auto_masked", frame_idx=(4,)),
        _row(folder, "bus", source="manual", status="edited", frame_idx=(1, 2, 3)),
        _row(folder, "camel", source="fallback", frame_idx=(7,)),
        failed_row("dog", folder / "dog.yaml", None, "the masks are empty"),
    ]
    return write_caption_sheet(rows, folder / "caption_sheet.html", title="Captions of <i>results</i>")


def _row(folder: Path, name: str, **changes: object) -> SheetRow:
    picture = folder / f"{name}.jpg"
    Image.new("RGB", (960, 270), "teal").save(picture)
    (folder / f"{name}.yaml").write_text(f"prompt: {SENTENCES[name]}\n")
    values = {"object_phrase": "", "flags": (), "model": "tiny", "status": "new", "picture": picture}
    return SheetRow(
        **{"name": name, "yaml_path": folder / f"{name}.yaml", "sentence": SENTENCES[name], **values, **changes}
    )


def _opened(browser: Browser, sheet: Path, **context: object) -> tuple[Page, list[str]]:
    """The page, and everything that went wrong on it."""
    page = browser.new_page(**{"viewport": {"width": 1400, "height": 900}, **context})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(sheet.as_uri())
    return page, problems


def _choose(page: Page, kind: str) -> None:
    page.locator(f"label[for=show-{kind}]").click()


def _shown(page: Page) -> list[str]:
    return page.locator("article:visible h2").all_inner_texts()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_filters_show_their_videos(browser, sheet, javascript):
    page, problems = _opened(browser, sheet, java_script_enabled=javascript)
    assert _shown(page) == ["bear", "bus", "camel", "dog"]
    for kind, names in (("flagged", ["bear"]), ("edited", ["bus"]), ("fallback", ["camel"]), ("failed", ["dog"])):
        _choose(page, kind)
        assert _shown(page) == names
    _choose(page, "all")
    assert len(_shown(page)) == 4
    assert page.locator("#search").is_visible() is javascript
    assert problems == []


def test_search_looks_into_names_sentences_flags_and_errors(browser, sheet):
    page, problems = _opened(browser, sheet)
    page.keyboard.press("/")
    for typed, names in (
        ("BRICK houses", ["bus"]),
        ("camel", ["camel"]),
        ("masks empty", ["dog"]),
        ("auto_masked", ["bear"]),
        ("elephant", []),
    ):
        page.locator("#search").fill(typed)
        assert _shown(page) == names
        assert page.locator("#shown").inner_text() == f"{len(names)} of 4 shown"
    assert page.get_by_text("No video matches.").is_visible()
    assert problems == []


def test_search_and_filter_work_together(browser, sheet):
    page, _ = _opened(browser, sheet)
    page.locator("#search").fill("brick")
    _choose(page, "flagged")
    assert _shown(page) == []
    assert page.get_by_text("No video matches.").is_visible()
    _choose(page, "edited")
    assert _shown(page) == ["bus"]
    assert page.get_by_text("No video matches.").is_hidden()


def test_a_filter_chosen_far_down_does_not_scroll_away_by_itself(browser, sheet):
    page, _ = _opened(browser, sheet, viewport={"width": 500, "height": 300})
    page.evaluate("window.scrollTo(0, 300)")
    _choose(page, "all")
    assert page.evaluate("window.scrollY") == 300


def test_pictures_are_drawn_and_markup_is_text(browser, sheet):
    page, problems = _opened(browser, sheet)
    widths = page.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth)")
    assert widths == [400, 200, 200, 200, 400]
    assert page.get_by_text(SENTENCES["camel"]).is_visible()
    assert page.locator("h1").inner_text() == "Captions of <i>results</i>"
    assert page.locator("main b, h1 i").count() == 0
    assert problems == []


def test_links_open_the_prompt_file_and_the_full_picture(browser, sheet):
    page, _ = _opened(browser, sheet)
    card = page.locator("article", has_text="bear")
    targets = [card.locator("a").nth(number).evaluate("(link) => link.href") for number in (0, 1)]
    assert targets == [(sheet.parent / "bear.jpg").as_uri(), (sheet.parent / "bear.yaml").as_uri()]
    card.locator("a").first.click()
    page.wait_for_url("**/bear.jpg")
    assert page.evaluate("document.images[0].naturalWidth") == 960


@pytest.mark.parametrize(("width", "columns"), [(1920, 3), (1400, 2), (700, 1), (320, 1)])
def test_cards_fill_the_width_and_never_overflow(browser, sheet, width, columns):
    page, _ = _opened(browser, sheet, viewport={"width": width, "height": 900})
    lefts = page.evaluate("[...document.querySelectorAll('article')].map((card) => card.getBoundingClientRect().left)")
    assert len(set(lefts)) == columns
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light_differ_and_print_is_light_without_buttons(browser, sheet):
    def back(page: Page) -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (_opened(browser, sheet, color_scheme=scheme)[0] for scheme in ("light", "dark"))
    assert back(light) == "rgb(243, 244, 246)"
    assert back(dark) == "rgb(18, 20, 24)"
    dark.emulate_media(media="print", color_scheme="dark")
    assert back(dark) == "rgb(255, 255, 255)"
    assert dark.locator(".bar").is_hidden()
    assert len(_shown(dark)) == 4
