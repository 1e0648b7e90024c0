"""Blind votes on a study's page, and the numbers of its variants side by side."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from gallery_support import needs_chromium, settled, wait_until
from playwright.sync_api import Page, expect

pytestmark = needs_chromium
PAIRS = {(video, *pair) for video in ("bear", "dog") for pair in combinations(("full", "no_prior", "no_text"), 2)}


def start(page: Page) -> None:
    page.get_by_role("button", name="Blind A/B vote").click()
    expect(page.locator("#ballot")).to_be_visible()


def saved(page: Page, voter: str = "") -> tuple[str, dict[str, Any]]:
    """The file's name and what is in it."""
    page.get_by_label("Your name").fill(voter)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save votes to a file").click()
    return download.value.suggested_filename, json.loads(Path(download.value.path()).read_text(encoding="utf-8"))


def sides_shown(page: Page) -> tuple[str, ...]:
    urls = page.locator(".pair video").evaluate_all("all => all.map(video => video.src)")
    return tuple(Path(url).stem for url in urls)


def test_votes_by_key_end_in_a_file(opened, study):
    page = opened(study)
    start(page)
    shown = []
    for number, key in enumerate("120120"):
        assert page.locator("#progress").inner_text() == f"{number} of 6 pairs voted on"
        shown.append(sides_shown(page))
        page.keyboard.press(key)
    expect(page.get_by_text("That was the last pair")).to_be_visible()
    page.keyboard.press("1")  # there is nothing left to vote on
    name, content = saved(page, "Zoë K.")
    votes = content.pop("votes")
    assert name == "votes-Zoë_K_.json"
    assert content == {"schema_version": 1, "study": "Ablation", "voter": "Zoë K."}
    assert [vote["choice"] for vote in votes] == ["left", "right", "tie", "left", "right", "tie"]
    assert [(vote["left"], vote["right"]) for vote in votes] == shown
    assert {(vote["video"], *sorted((vote["left"], vote["right"]))) for vote in votes} == PAIRS
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", vote["at"]) for vote in votes)


def test_nothing_tells_which_variant_is_where(opened, study):
    page = opened(study)
    start(page)
    ballot = page.locator("#ballot")
    for _ in range(6):
        told = ballot.inner_text() + " ".join(ballot.locator("[title]").evaluate_all("all => all.map(e => e.title)"))
        assert re.findall("full|no text|no prior|no_text|no_prior|YAML|bear|dog", told) == []
        page.keyboard.press("0")


def test_pairs_and_sides_are_drawn(opened, study):
    """The same order and sides five times over by chance: one in 46080 to the fourth."""
    orders = set()
    for _ in range(5):
        page = opened(study)
        start(page)
        shown = []
        for _ in range(6):
            shown.append(sides_shown(page))
            page.keyboard.press("0")
        orders.add(tuple(shown))
    assert len(orders) > 1


def test_both_sides_play_together(opened, study):
    page = opened(study)
    start(page)
    settled(page)
    wait_until(page, "document.querySelector('.pair video').currentTime > 0.3")
    page.keyboard.press(" ")
    assert len(set(page.locator(".pair video").evaluate_all("all => all.map(video => video.currentTime)"))) == 1
    page.get_by_text("What was removed").click()
    expect(page.locator(".removed figcaption")).to_have_text(["source", "mask"])


def test_votes_last_and_can_be_taken_back(opened, study):
    page = opened(study)
    start(page)
    expect(page.get_by_role("button", name="Save votes")).to_be_disabled()
    for key in "112":
        page.keyboard.press(key)
    page.reload()
    start(page)
    assert page.locator("#progress").inner_text() == "3 of 6 pairs voted on"
    page.keyboard.press("Backspace")
    assert page.locator("#progress").inner_text() == "2 of 6 pairs voted on"
    assert [vote["choice"] for vote in saved(page)[1]["votes"]] == ["left", "left"]
    page.get_by_label("Your name").fill("120")  # a name, no votes
    assert page.locator("#progress").inner_text() == "2 of 6 pairs voted on"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget all").click()
    assert page.locator("#progress").inner_text() == "0 of 6 pairs voted on"
    page.keyboard.press("Escape")
    expect(page.locator("video")).to_have_count(0)


def test_a_plain_run_has_nothing_to_vote_on(opened, plain):
    page = opened(plain)
    assert page.locator("#vote, #numbers").count() == 0


def test_variants_stand_beside_each_other(opened, study):
    page = opened(study)
    page.locator("#table td.name button", has_text="bear").click()
    viewer = page.locator("#viewer")
    assert viewer.locator("figcaption").all_inner_texts() == ["source", "mask", "coarse", "full", "no text", "no prior"]
    assert "The same file as full." in viewer.inner_text()
    row = viewer.locator("tr", has=page.get_by_text("PSNR in the hole"))
    assert row.locator("td").all_inner_texts() == ["27.00", "21.00", "13.50", "27.00"]
    assert row.locator("strong").all_inner_texts() == ["27.00", "27.00"]
    assert viewer.get_by_role("heading", name="Anchor", exact=True).count() == 1  # one file, shared by all variants


def test_the_table_shows_one_variant_or_one_number_of_all(opened, study):
    page = opened(study)
    numbers = page.locator("#table tr", has_text="bear").locator("td.number")
    assert numbers.nth(3).inner_text() == "27.00"
    page.locator("#numbers").select_option(label="of no prior")
    assert numbers.nth(3).inner_text() == "13.50"
    page.locator("#numbers").select_option(label="PSNR in the hole")
    assert numbers.all_inner_texts() == ["27.00", "21.00", "13.50", "27.00"]
    heads = page.locator("#table th.number button").all_inner_texts()
    assert [head.split("\u00a0")[0] for head in heads] == ["full", "no text", "no prior", "YAML prompt"]


def test_means_and_differences_of_the_variants_are_shown(opened, study):
    page = opened(study)
    row = page.locator("#means tbody tr", has_text="no prior")
    assert row.locator("td").first.inner_text().split("\n") == ["24.00", "-8.00 [-9.10, -6.90] dB: worse"]
