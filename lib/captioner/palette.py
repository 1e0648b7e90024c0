"""A captioner without weights: one sentence from the colours, light and layout of the visible background.

It speaks only of what it measures (colours by height, brightness, warmth, contrast, texture) and names no objects.
Several pictures are measured together: colours and light average well, where choosing one sentence would drop a scene's
other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lib.captioner.backend import Caption, CaptionPicture
from lib.captioner.colour import COLOUR_NAMES, nearest_colour_names, srgb_to_lab

VERSION = "1"
SAMPLED_SIDE = 320  # pictures are measured at about this many pixels on the longer side
SECOND_COLOUR_SHARE = 0.25  # a part's second colour is named from this share on
BANDS = ("above", "in the middle", "below")


class PaletteCaptioner:
    """Deterministic and weights-free; pixels inside the hole never count."""

    name = "palette"

    def facts(self) -> dict[str, str]:
        return {"name": self.name, "version": VERSION}

    def describe(
        self,
        pictures: Sequence[CaptionPicture],
        object_picture: np.ndarray | None = None,  # noqa: ARG002 (it cannot name things)
    ) -> Caption:
        """One sentence of at most 30 words over all pictures."""
        views = [_View(picture) for picture in pictures]
        lightness = np.concatenate([view.visible()[:, 0] for view in views])
        if lightness.size == 0:
            text = "A plain background in neutral light"
            return Caption(text, "fallback", self.name, flags=("no_visible_pixels",))
        lab = np.concatenate([view.visible() for view in views])
        looks = ", ".join(filter(None, (_brightness(lab), _warmth(lab), _contrast(lab), _texture(views))))
        article = "An" if looks[0] in "aeiou" else "A"
        return Caption(f"{article} {looks} background with {_layout(views)}", "auto_palette", self.name)


class _View:
    """One picture, thinned out and measured."""

    def __init__(self, picture: CaptionPicture) -> None:
        height, width = picture.hole.shape
        step = max(1, round(max(height, width) / SAMPLED_SIDE))
        self.seen = ~np.asarray(picture.hole, dtype=bool)[::step, ::step]
        self.lab = srgb_to_lab(picture.pixels[::step, ::step])

    def visible(self) -> np.ndarray:
        """(n, 3) Lab values of the visible pixels."""
        return self.lab[self.seen]

    def bands(self) -> list[np.ndarray]:
        """The visible pixels of the upper, middle and lower third, each (n, 3) Lab."""
        edges = np.linspace(0, self.seen.shape[0], 4).round().astype(int)
        return [self.lab[a:b][self.seen[a:b]] for a, b in pairwise(edges)]

    def steps(self) -> np.ndarray:
        """(n,) absolute differences of lightness between visible neighbours."""
        light, seen = self.lab[..., 0], self.seen
        across = np.abs(np.diff(light, axis=1))[seen[:, 1:] & seen[:, :-1]]
        down = np.abs(np.diff(light, axis=0))[seen[1:] & seen[:-1]]
        return np.concatenate([across, down])


def _brightness(lab: np.ndarray) -> str:
    names = ("dark", "dim", "moderately bright", "bright", "very bright")
    return names[int(np.searchsorted((25.0, 42.0, 62.0, 82.0), lab[:, 0].mean(), side="right"))]


def _warmth(lab: np.ndarray) -> str:
    blue_to_yellow = float(lab[:, 2].mean())
    if blue_to_yellow > 5.0:
        return "warm-toned"
    return "cool-toned" if blue_to_yellow < -3.0 else "neutral-toned"


def _contrast(lab: np.ndarray) -> str:
    names = ("low-contrast", "", "high-contrast")
    return names[int(np.searchsorted((9.0, 21.0), lab[:, 0].std(), side="right"))]


def _texture(views: Sequence[_View]) -> str:
    steps = np.concatenate([view.steps() for view in views])
    roughness = float(steps.mean()) if steps.size else 0.0
    names = ("smooth", "lightly textured", "richly textured")
    return names[int(np.searchsorted((1.0, 4.0), roughness, side="right"))]


def _layout(views: Sequence[_View]) -> str:
    """Colours from top to bottom; parts of equal colours are named once, wholly hidden parts not at all."""
    places: dict[str, list[str]] = {}
    for place, parts in zip(BANDS, zip(*(view.bands() for view in views), strict=True), strict=True):
        pixels = np.concatenate(parts)
        if pixels.size:
            places.setdefault(_colours(pixels), []).append(place)
    if len(places) == 1:
        return f"{next(iter(places))} tones throughout"
    return ", ".join(f"{colours} {' and '.join(where)}" for colours, where in places.items())


def _colours(lab: np.ndarray) -> str:
    """The most frequent colour name, and the second where it is nearly as frequent."""
    counts = np.bincount(nearest_colour_names(lab), minlength=len(COLOUR_NAMES))
    first, second = np.argsort(-counts, kind="stable")[:2]
    if counts[second] < SECOND_COLOUR_SHARE * lab.shape[0]:
        return COLOUR_NAMES[first]
    return f"{COLOUR_NAMES[first]} and {COLOUR_NAMES[second]}"
