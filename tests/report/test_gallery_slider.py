"""Two clips with a line between them, in a real headless Chromium."""

import numpy as np
import pytest
from gallery_support import FPS, SIZE, needs_chromium, open_video, picture, settled, times
from PIL import Image

pytestmark = needs_chromium


def test_the_slider_shows_source_on_the_left_and_result_on_the_right(opened, plain):
    page = opened(plain)
    viewer = open_video(page, "dog")
    page.keyboard.press("b")
    settled(page)
    stage = viewer.get_by_role("slider", name="Line between")
    page.add_style_tag(content=".stage span { visibility: hidden }")
    box = stage.bounding_box()
    assert box
    assert box["width"] > 2 * SIZE[1]  # small clips are scaled up
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    pictures = []
    for share in (1.0, 0.0, 0.3):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + 80, steps=3)
        page.wait_for_timeout(150)
        pictures.append(picture(stage).astype(int))
    page.mouse.up()
    source, result, between = pictures
    assert np.abs(source - result).max() > 60  # the object
    column = round(0.3 * between.shape[1])
    # Not 0: browsers scale clips slightly otherwise where two are seen.
    assert np.abs(between - source)[:, : column - 2].max() < 20
    assert np.abs(between - result)[:, column + 2 :].max() < 20
    page.mouse.move(box["x"] + 5, box["y"] + 80)
    assert stage.get_attribute("aria-valuenow") == "30"


def test_the_slider_obeys_the_keyboard(opened, plain):
    page = opened(plain)
    viewer = open_video(page, "dog")
    page.keyboard.press("b")
    settled(page)
    stage = viewer.get_by_role("slider", name="Line between")
    before = times(page)
    stage.focus()
    values = []
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home"):
        page.keyboard.press(key)
        values.append(stage.get_attribute("aria-valuenow"))
    assert values == ["51", "61", "60", "100", "100", "0"]
    assert times(page) == before


def test_the_slider_enlarges_what_is_under_the_line(opened, plain):
    page = opened(plain)
    viewer = open_video(page, "dog")
    page.keyboard.press("b")
    settled(page)
    stage = viewer.get_by_role("slider", name="Line between")
    page.add_style_tag(content=".stage span { visibility: hidden }")
    box = stage.bounding_box()
    assert box
    whole = Image.fromarray(picture(stage))
    viewer.get_by_label("zoom").select_option("2")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    page.wait_for_timeout(150)
    width, height = whole.size
    part = whole.crop((width // 4, height // 8, width * 3 // 4, height * 5 // 8)).resize(whole.size)
    difference = np.abs(picture(stage).astype(int) - np.asarray(part))
    assert difference.mean() < 4
    assert np.abs(np.asarray(whole).astype(int) - np.asarray(part)).mean() > 10


def test_any_two_clips_can_be_compared_and_the_choice_lasts(opened, study):
    page = opened(study)
    viewer = open_video(page, "bear")
    viewer.get_by_role("button", name="Before | after").click()
    viewer.get_by_label("On the left").select_option(label="no prior")
    settled(page)
    assert viewer.locator(".stage .tag").all_inner_texts() == ["no prior", "full"]
    page.keyboard.press("ArrowRight")
    settled(page)
    viewer.get_by_role("button", name="Swap left and right").click()
    settled(page)
    assert viewer.locator(".stage .tag").all_inner_texts() == ["full", "no prior"]
    assert times(page) == pytest.approx([1.5 / float(FPS)] * 2)  # still the second frame
    viewer.get_by_role("button", name="next").click()
    settled(page)
    assert page.locator("#viewer-title").inner_text().startswith("dog")
    assert viewer.locator(".stage .tag").all_inner_texts() == ["full", "no prior"]


def test_a_finger_draws_the_line(opened, plain):
    page = opened(plain, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    viewer = open_video(page, "dog")
    viewer.get_by_role("button", name="Before | after").tap()
    settled(page)
    stage = viewer.get_by_role("slider", name="Line between")
    box = stage.bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    assert stage.get_attribute("aria-valuenow") == "80"
