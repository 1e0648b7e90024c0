"""The page of a run in Prefect's UI, in a real headless Chromium."""

import re
import shutil
import signal
from pathlib import Path

import pytest
from embedded_support import Command, wait_until
from playwright.sync_api import sync_playwright
from tests_support import Dataset

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def password(command: Command) -> str:
    """As a person takes it from the file that the command names, where it does not print to a terminal."""
    (path,) = re.findall(r"\(login: see (.+)\)$", command.text().splitlines()[0])
    return dict(line.split("=", 1) for line in Path(path).read_text().splitlines())["PREFECT_API_AUTH_STRING"]


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's package chromium is not installed")
def test_the_run_page_shows_phases_videos_and_reasons(dataset: Dataset, tmp_path):
    dataset.add("bear")
    dataset.add("no mask")
    shutil.rmtree(dataset.masks / "no mask")
    command = Command([*dataset.flags(tmp_path / "out"), "--keep_ui"], tmp_path / "out")
    assert wait_until(lambda: "Ctrl-C to stop" in command.text() or None, 180), command.text()
    url = re.findall(r"http://127\.0\.0\.1:\d+", command.text())[0]
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{url}/runs")
        page.locator("input[type=password]").fill(password(command))
        page.keyboard.press("Enter")
        page.get_by_text("auto-refine out").first.click()
        page.get_by_text("of 2 videos have a result").first.wait_for(timeout=30_000)
        body = page.inner_text("body")
        assert re.search(r"coarse\s+bear done in", body)
        assert re.search(r"scan\s+no mask skipped: .*mask", body)
        page.get_by_text("Subflow Runs").first.click()
        for phase in ("coarse x1", "refine x1"):
            page.get_by_text(phase).first.wait_for(timeout=30_000)
        page.get_by_text("Artifacts", exact=True).first.click()
        page.get_by_text("auto-refine-summary").first.wait_for(timeout=30_000)
        page.screenshot(path=str(tmp_path / "run.png"))
        browser.close()
    command.process.send_signal(signal.SIGINT)
    assert command.wait(60) == 0
    command.assert_nothing_left()
