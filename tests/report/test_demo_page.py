"""The report of `make demo`, made by its command and opened in a real headless Chromium."""

import numpy as np
from embedded_support import ROOT, run_command
from gallery_support import needs_chromium, open_video, picture, settled, times, wait_until

pytestmark = needs_chromium


def test_the_demos_report_plays_and_slides_without_a_console_error(opened, tmp_path):
    command = run_command(["--output_dir", str(tmp_path / "demo")], tmp_path / "demo", ROOT / "flows" / "demo.py")
    assert command.process.returncode == 0, command.text()
    path = tmp_path / "demo" / "report" / "index.html"
    assert str(path) in command.text()
    page = opened(path)
    viewer = open_video(page, "pan")
    assert len(times(page)) == 4  # source, mask, coarse, result
    wait_until(page, "[...document.querySelectorAll('#viewer video')].every((video) => video.readyState >= 2)")
    page.keyboard.press(" ")
    wait_until(page, "document.querySelector('#viewer video').currentTime > 0.5")
    page.keyboard.press(" ")
    page.keyboard.press("b")
    settled(page)
    stage = viewer.get_by_role("slider", name="Line between")
    stage.focus()
    shown = []
    for key in ("Home", "End"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
        shown.append(picture(stage).astype(int))
    assert np.abs(shown[0] - shown[1]).max() > 60  # the object
