"""Report pages, opened in a headless Chromium."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gallery_support import CHROMIUM, plain_gallery, study_gallery
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from lib.report.gallery import write_gallery


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's page."""
    root = tmp_path_factory.mktemp("out box")
    return write_gallery(plain_gallery(root / "media"), root / "report" / "index.html")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's page."""
    root = tmp_path_factory.mktemp("study")
    return write_gallery(study_gallery(root / "media"), root / "report" / "index.html")


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages; whatever went wrong on one of them fails the test at its end."""
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(path: Path, address: str = "", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        page.goto(path.as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
