"""Masks by gray value: which values are object, and whether a lossy mask's values leave that in doubt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib.errors import InputError
from lib.notes import Note, input_note

LOSSY_THRESHOLD = 127
_DARKEST_GRAY, _BRIGHTEST_GRAY = 64, 191  # what is neither background nor object
_MOST_GRAY = 0.05  # of all pixels
_BINS = ((0, 31), (32, 63), (64, 127), (128, 191), (192, 223), (224, 255))


@dataclass(frozen=True)
class MaskRules:
    """What the user says about masks."""

    threshold: int | None = None  # object is gray > threshold, whatever the file's kind
    object_ids: frozenset[int] = frozenset()  # palette indices or gray values that are object; empty: all
    invert: bool = False  # masks show what shall stay


@dataclass
class GrayTally:
    """The gray values of masks so far."""

    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, gray: np.ndarray) -> None:
        """Count (H, W) gray values."""
        self.counts += np.bincount(np.clip(gray, 0, 255).ravel().astype(np.uint8), minlength=256)

    def __str__(self) -> str:
        """The histogram in percent, a few bins."""
        total = max(int(self.counts.sum()), 1)
        shares = ((first, last, 100 * self.counts[first : last + 1].sum() / total) for first, last in _BINS)
        return ", ".join(f"{first}-{last}: {share:.2f} %" for first, last, share in shares)

    def grays(self) -> str:
        """What to tell of values that were no object; empty where none were counted."""
        if not self.counts.any():
            return ""
        return f" (gray values found: {self}; the brightest is {int(self.counts.nonzero()[0][-1])})"


def check_grays(path: Path, tally: GrayTally) -> tuple[Note, ...]:
    """Notes on the values of lossy masks that were read without a threshold.

    Raises:
        InputError: so many values lie between background and object that a threshold must be given.
    """
    total, gray = int(tally.counts.sum()), int(tally.counts[_DARKEST_GRAY : _BRIGHTEST_GRAY + 1].sum())
    if gray > _MOST_GRAY * total:
        raise InputError(
            f"{path}: {100 * gray / total:.1f} % of the masks' pixels are neither dark nor bright ({tally}), "
            "expected a dark background and a bright object; say with --mask_threshold N which values are object "
            "(those above N)"
        )
    if 2 * gray > tally.counts[_DARKEST_GRAY:].sum():
        return (
            input_note(
                f"more than half of what may be object in the masks is gray ({tally}): values above "
                f"{LOSSY_THRESHOLD} are taken as object; choose others with --mask_threshold"
            ),
        )
    return ()
