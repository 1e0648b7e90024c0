"""Counting blind votes: which of two variants people found better, not knowing which was which."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from lib.errors import InputError
from lib.provenance import write_json
from lib.study.statistics import CONFIDENCE

Choice = Literal["left", "right", "tie"]


class Vote(BaseModel):
    """One person's choice between two variants of a video."""

    model_config = ConfigDict(frozen=True)

    video: str
    left: str  # keys of the variants
    right: str
    choice: Choice
    at: str = ""

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        if self.left == self.right:
            raise ValueError(f"both sides are {self.left!r}")
        return self


class VoteFile(BaseModel):
    """What the page saves."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1]
    study: str = ""
    voter: str = ""
    votes: tuple[Vote, ...]


@dataclass(frozen=True)
class PairCount:
    """All votes on two variants."""

    one: str
    other: str
    wins_of_one: int
    wins_of_other: int
    ties: int

    @property
    def share(self) -> float | None:
        """Of the votes that are no tie, those for the first."""
        decided = self.wins_of_one + self.wins_of_other
        return self.wins_of_one / decided if decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the share: Wilson's 95 % interval (1927)."""
        decided = self.wins_of_one + self.wins_of_other
        if not decided:
            return None
        from scipy.stats import binomtest  # takes seconds

        found = binomtest(self.wins_of_one, decided).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)

    @property
    def p_value(self) -> float | None:
        """Of the two-sided sign test: no preference gives a difference as large."""
        decided = self.wins_of_one + self.wins_of_other
        if not decided:
            return None
        from scipy.stats import binomtest

        return float(binomtest(self.wins_of_one, decided).pvalue)


@dataclass(frozen=True)
class Tally:
    """All votes of a study."""

    titles: Mapping[str, str]
    pairs: Sequence[PairCount]
    voters: int
    unknown: int  # votes on variants that the study does not have

    def in_words(self) -> list[str]:
        """A sentence for each pair that was voted on."""
        lines = [f"{self.voters} files of votes, each vote taken as independent"] + [
            self._sentence(pair) for pair in self.pairs
        ]
        return lines + ([f"{self.unknown} votes are on variants of another study"] if self.unknown else [])

    def _sentence(self, pair: PairCount) -> str:
        one, other = self.titles[pair.one], self.titles[pair.other]
        said = f"votes: “{one}” {pair.wins_of_one}, “{other}” {pair.wins_of_other}, no difference {pair.ties}"
        if pair.share is None or pair.interval is None or pair.p_value is None:
            return said
        low, high = pair.interval
        return f"{said} ({pair.share:.0%} for the first, {low:.0%} … {high:.0%}; sign test p = {pair.p_value:.2g})"


def count_votes(folder: Path, titles: Mapping[str, str]) -> Tally | None:
    """All votes in the folder's JSON files; None if there is none.

    Args:
        titles: of the study's variants, by key, in order.

    Raises:
        InputError: a file holds something else.
    """
    files = [read_votes(path) for path in sorted(folder.glob("*.json"))]
    # A file that was saved twice holds the same votes.
    votes = [vote for _, vote in dict.fromkeys((file.voter, vote) for file in files for vote in file.votes)]
    known = [vote for vote in votes if {vote.left, vote.right} <= titles.keys()]
    if not votes:
        return None
    pairs = [_count(one, other, known) for one, other in itertools.combinations(titles, 2)]
    return Tally(titles, [pair for pair in pairs if pair], len(files), len(votes) - len(known))


def read_votes(path: Path) -> VoteFile:
    """One person's votes.

    Raises:
        InputError: the file is something else.
    """
    try:
        return VoteFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        found = error.errors()[0] if isinstance(error, ValidationError) else {}
        where = ".".join(map(str, found.get("loc", ())))
        problem = f"{where}: {found.get('msg')}" if where else found.get("msg", error)
        raise InputError(
            f"{path}: holds no votes ({problem}); expected a file that the study's page saved; move others elsewhere"
        ) from None


def _count(one: str, other: str, votes: Iterable[Vote]) -> PairCount | None:
    found = Counter(_winner(vote) for vote in votes if {vote.left, vote.right} == {one, other})
    return PairCount(one, other, found[one], found[other], found[""]) if found else None


def _winner(vote: Vote) -> str:
    return {"left": vote.left, "right": vote.right, "tie": ""}[vote.choice]


def write_tally(tally: Tally, path: Path) -> Path:
    """The counts as JSON."""
    pairs: list[dict[str, Any]] = [
        {
            "one": pair.one,
            "other": pair.other,
            "wins_of_one": pair.wins_of_one,
            "wins_of_other": pair.wins_of_other,
            "ties": pair.ties,
            "share_of_one": pair.share,
            "interval": pair.interval,
            "p_value": pair.p_value,
        }
        for pair in tally.pairs
    ]
    return write_json(path, {"schema_version": 1, "files": tally.voters, "unknown": tally.unknown, "pairs": pairs})
