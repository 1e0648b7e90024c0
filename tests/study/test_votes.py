"""Votes: files that people saved, counted, with known intervals."""

import json
from pathlib import Path

import pytest

from lib.errors import InputError
from lib.study.votes import PairCount, count_votes, read_votes, write_tally

VOTE = {"video": "v", "left": "a", "right": "b", "choice": "left"}
TITLES = {"a": "Plain", "b": "Anchored", "c": "Text"}


def _save(path: Path, *votes: tuple[str, str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    items = [{"video": f"v{n}", "left": left, "right": right, "choice": c} for n, (left, right, c) in enumerate(votes)]
    path.write_text(json.dumps({"schema_version": 1, "study": "s", "voter": path.stem, "votes": items}))


def test_wins_are_counted_whatever_side_they_were_on(tmp_path):
    _save(tmp_path / "ann.json", ("a", "b", "right"), ("b", "a", "left"), ("a", "b", "left"), ("c", "a", "tie"))
    _save(tmp_path / "bob.json", ("b", "a", "left"), ("x", "a", "left"))
    (tmp_path / "bob again.json").write_bytes((tmp_path / "bob.json").read_bytes())  # counts once
    tally = count_votes(tmp_path, TITLES)
    assert tally is not None
    assert tally.pairs == [PairCount("a", "b", 1, 3, 0), PairCount("a", "c", 0, 0, 1)]
    assert (tally.voters, tally.unknown) == (3, 1)
    said = " ".join(tally.in_words())
    assert "“Plain” 1, “Anchored” 3" in said and "another study" in said
    content = json.loads(write_tally(tally, tmp_path / "out" / "votes.json").read_text())
    assert content["pairs"][0]["wins_of_other"] == 3
    assert content["pairs"][1]["share_of_one"] is None


def test_wilsons_interval_and_the_sign_test():
    """8 of 10: Wilson's interval is 0.490 … 0.943; the two-sided sign test has 2 (45 + 10 + 1) / 1024."""
    pair = PairCount("a", "b", 8, 2, 5)
    assert pair.share == 0.8
    assert pair.interval == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert pair.p_value == pytest.approx(2 * 56 / 1024)
    assert PairCount("a", "b", 0, 0, 3).interval is None


def test_no_votes_are_no_tally(tmp_path):
    assert count_votes(tmp_path / "missing", TITLES) is None
    _save(tmp_path / "empty.json")
    assert count_votes(tmp_path, TITLES) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "holds no votes"),
        ("{}", "schema_version"),
        (
            '{"schema_version": 1, "votes": [{"video": "v", "left": "a", "right": "b", "choice": "both"}]}',
            "votes.0.choice",
        ),
    ],
)
def test_other_files_are_named(tmp_path, text, said):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.json") as error:
        read_votes(path)
    assert said in str(error.value)
