"""Masks out of picture files: which pixels of a palette, gray, colour or alpha picture are object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.images import counts_more, open_image, upright
from lib.video.mask_alpha import ALPHA_NOTE, TRANSPARENT_NOTE
from lib.video.mask_grays import LOSSY_THRESHOLD, GrayTally, MaskRules, check_grays
from lib.video.mask_headers import MaskHeader, check_depth, has_alpha, holds_several, is_lossless, read_header, readable
from lib.video.pairing import Pairing, pair_all, pair_pictures, pairing_notes
from lib.video.timeline import Timeline

_COLOUR_NOTE = input_note(
    "the masks' palettes hold two colours and index 0 is the brighter one: the brighter colour is taken as object"
)
_SEVERAL_NOTE = input_note("mask files hold several pictures each: only the first was taken")
_VALUE_MODES = frozenset({"1", "L", "LA", "RGB", "RGBA", "F"})
_LUMA = (299, 587, 114)
_Colour = tuple[int, int, int]


class PictureSource:
    """Pictures that are the masks of one object, or of all objects.

    Attributes:
        tally: gray values of the masks that were read by gray value.
        found_ids: palette indices or gray values found, where ids are asked for.
    """

    def __init__(self, path: Path, images: tuple[Path, ...], rules: MaskRules) -> None:
        """`path`: the folder that holds the pictures, or the one picture itself."""
        self.path = path
        self.tally = GrayTally()
        self.found_ids: set[int] = set()
        self._images = images
        self._rules = rules
        self._lossy = False
        self._notes: list[Note] = []

    def pair(self, clip: Timeline, limit: int = -1) -> Pairing:
        """Which picture belongs to which frame, of which the first `limit` (-1: all) are worked on.

        Raises:
            InputError: as `lib.video.pairing.pair_pictures`.
        """
        if self._images == (self.path,):
            return pair_all(clip)
        return pair_pictures(self.path, [image.stem for image in self._images], clip, limit)

    def masks(self, indices: Iterable[int]) -> Iterator[tuple[int, Path, np.ndarray]]:
        """Index, file and (h, w) bool mask of each of the pictures wanted, at the picture's own size.

        Raises:
            InputError: a picture cannot be decoded, or is of a kind that has no object ids.
        """
        for index in sorted(indices):
            path = self._images[index]
            with open_image(path, pixels=False) as image:
                with readable(path):
                    check_depth(image, path)
                    if holds_several(image):  # asked before the pixels: else Pillow forgets how a TIFF is turned
                        self._note(_SEVERAL_NOTE)
                    image.load()
                    lossless, turned = is_lossless(image, path), upright(image)
                yield index, path, self._mask(turned, path, lossless)

    def notes(self, pairing: Pairing, positions: Iterable[int], clip: Timeline) -> tuple[Note, ...]:
        """What is in doubt, once the masks have been read.

        Raises:
            InputError: as `lib.video.mask_grays.check_grays`.
        """
        doubts = check_grays(self.path, self.tally) if self._lossy else ()
        return (*self.pairing_notes(pairing, positions, clip), *self._notes, *doubts)

    def pairing_notes(self, pairing: Pairing, positions: Iterable[int], clip: Timeline) -> tuple[Note, ...]:  # noqa: ARG002
        """What was taken for granted in giving pictures to frames."""
        return pairing_notes(pairing, positions)

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(H, W) of each picture as it is shown.

        Raises:
            InputError: a file is missing or no picture.
        """
        return tuple(header.size for header in self._headers)

    @property
    def count(self) -> int:
        return len(self._images)

    def first_size(self) -> tuple[int, int]:
        """(H, W) of the first picture as it is shown.

        Raises:
            InputError: as `sizes`.
        """
        return read_header(self._images[0]).size

    def reading(self, pairing: Pairing, limit: int = -1) -> dict[str, Any]:
        """What is not read as plain PNG and JPEG masks, a mask for each frame, are. Decodes suspicious pictures only.

        Raises:
            InputError: a picture cannot be read.
        """
        headers = self._headers
        reading: dict[str, Any] = {}
        if not pairing.is_plain(limit):
            reading["pairing"] = pairing.way
        if counts_more(self._images):
            reading["more_kinds"] = True
        if any(header.turned for header in headers):
            reading["orientation"] = True
        if any(_misnamed(header, image) for header, image in zip(headers, self._images, strict=True)):
            reading["kind"] = "content"
        if self._rules.object_ids:
            return reading
        see_through = (image for header, image in zip(headers, self._images, strict=True) if header.alpha)
        if any(map(self._alpha_decides, see_through)):
            reading["alpha"] = True
        by_colour = self._rules.threshold is None and any(header.bright_first for header in headers)
        if by_colour and self._object_colour is not None:
            reading["palette"] = "colour"
        return reading

    @cached_property
    def _headers(self) -> tuple[MaskHeader, ...]:
        return tuple(map(read_header, self._images))

    def _mask(self, image: Image.Image, path: Path, lossless: bool) -> np.ndarray:
        if self._rules.object_ids:
            return self._pick(image, path, lossless)
        alpha = self._alpha(image)
        if alpha is not None:
            return self._by_alpha(alpha)
        if image.mode in ("P", "PA") and self._rules.threshold is None and lossless:
            return self._by_palette(image)
        visible = self._visible(image)
        if self._rules.threshold is not None or not lossless:
            gray = _gray(image)
            return self._by_gray(gray if visible is None else np.where(visible, gray, 0), lossless)
        mask = _non_zero(image)
        if visible is None or not (mask & ~visible).any():
            return mask
        self._note(TRANSPARENT_NOTE)
        return mask & visible

    def _pick(self, image: Image.Image, path: Path, lossless: bool) -> np.ndarray:
        if not lossless:
            raise InputError(
                f"{path}: object ids need lossless masks (palette or gray PNG), found {path.suffix}; leave the ids out"
            )
        if image.mode not in ("1", "L", "LA", "P", "PA") and not image.mode.startswith("I"):
            raise InputError(f"{path}: object ids need a palette or gray PNG, found {image.mode}; leave the ids out")
        values = _indices(image)
        self.found_ids |= {int(value) for value in np.unique(values) if value}
        return np.isin(values, sorted(self._rules.object_ids)) & (values != 0)

    def _by_gray(self, gray: np.ndarray, lossless: bool) -> np.ndarray:
        self.tally.add(gray)
        if self._rules.threshold is not None:
            return gray > self._rules.threshold
        self._lossy = self._lossy or not lossless
        return gray > LOSSY_THRESHOLD

    def _by_alpha(self, alpha: np.ndarray) -> np.ndarray:
        if self._rules.threshold is not None:
            self.tally.add(alpha)
        mask = alpha > (self._rules.threshold or 0)
        if mask.any():
            self._note(ALPHA_NOTE)
        return mask

    def _by_palette(self, image: Image.Image) -> np.ndarray:
        indices, palette = _indices(image), _palette(image)
        # Where index 0 is black, the brighter of two colours is the other index: no need to look at all pictures.
        if not palette[0].any() or self._object_colour is None:
            return indices != 0
        self._note(_COLOUR_NOTE)
        return (palette == self._object_colour).all(axis=1)[indices]

    @cached_property
    def _object_colour(self) -> _Colour | None:
        """The brighter of the only two colours of all pictures, if it is index 0 of a palette; else None."""
        colours: set[_Colour] = set()
        first: set[_Colour] = set()
        for path in self._images:
            with open_image(path) as image:
                if image.mode not in ("P", "PA"):
                    continue
                palette = _palette(image)
                used = np.bincount(_indices(image).ravel(), minlength=256).nonzero()[0]
                colours |= {_colour(palette[index]) for index in used}
                if not _transparent_first(image):
                    first.add(_colour(palette[0]))
            if len(colours) > 2:
                return None
        darker, *brighter = sorted(colours, key=_luma)
        return brighter[0] if brighter and _luma(brighter[0]) > _luma(darker) and brighter[0] in first else None

    def _alpha(self, image: Image.Image) -> np.ndarray | None:
        """The (h, w) alpha values of a picture if they, not its colours, show the object."""
        if not has_alpha(image):
            return None
        colours, alpha = _split(image)
        lowest, highest = int(alpha.min()), int(alpha.max())
        if lowest == 255 or _varies(colours):
            return None
        # The same partial alpha everywhere is how an empty frame of coloured, half transparent masks looks.
        if lowest == highest and highest and self._colours_vary:
            return None
        return alpha

    @cached_property
    def _colours_vary(self) -> bool:
        """Whether any of the pictures shows something by colour."""
        return any(map(_has_shapes, self._images))

    def _visible(self, image: Image.Image) -> np.ndarray | None:
        """(h, w) bool, False where a picture that shows its object by colour is transparent; None: nowhere.

        What lies there is what a program left behind, lossy WebP anything at all. An alpha channel that is empty in
        all pictures says nothing.
        """
        if image.mode not in ("LA", "RGBA"):
            return None
        visible = _split(image)[1] > 0
        return None if visible.all() or not (visible.any() or self._any_visible) else visible

    @cached_property
    def _any_visible(self) -> bool:
        return any(map(_is_visible, self._images))

    def _alpha_decides(self, path: Path) -> bool:
        """Whether a picture's alpha gives another mask than its colours alone."""
        with open_image(path) as image:
            threshold = self._rules.threshold
            plain = _non_zero(image) if threshold is None else _gray(image) > threshold
            alpha = self._alpha(image)
            if alpha is not None:
                return not np.array_equal(alpha > (threshold or 0), plain)
            visible = self._visible(image)
        return visible is not None and bool((plain & ~visible).any())

    def _note(self, note: Note) -> None:
        if note not in self._notes:
            self._notes.append(note)


def _misnamed(header: MaskHeader, path: Path) -> bool:
    """Whether a name says another kind than the file is; only the kinds that were once told apart by name."""
    suffix = path.suffix.lower()
    return suffix in (".png", ".jpg", ".jpeg") and header.lossless != (suffix == ".png")


def _non_zero(image: Image.Image) -> np.ndarray:
    if image.mode in ("P", "PA"):
        return _indices(image) != 0
    known = image.mode in _VALUE_MODES or image.mode.startswith("I")
    values = np.asarray(image if known else image.convert("RGB"))
    if image.mode in ("LA", "RGBA"):
        values = values[..., :-1]
    return values != 0 if values.ndim == 2 else (values != 0).any(axis=-1)


def _gray(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bit
        return np.asarray(image) >> 8
    return np.asarray(image.convert("L"))


def _indices(image: Image.Image) -> np.ndarray:
    """(h, w) palette indices or gray values."""
    return np.asarray(image.getchannel(0) if image.mode in ("LA", "PA") else image)


def _palette(image: Image.Image) -> np.ndarray:
    """(256, 3) uint8 colours; entries that the file lacks are black."""
    colours = np.zeros(768, np.uint8)
    values = (image.getpalette("RGB") or [])[:768]
    colours[: len(values)] = values
    return colours.reshape(256, 3)


def _colour(entry: np.ndarray) -> _Colour:
    red, green, blue = (int(value) for value in entry)
    return red, green, blue


def _luma(colour: _Colour) -> int:
    return sum(weight * value for weight, value in zip(_LUMA, colour, strict=True))


def _transparent_first(image: Image.Image) -> bool:
    """Whether a palette's index 0 is transparent, and so no object whatever its colour."""
    transparency = image.info.get("transparency")
    return transparency == 0 if isinstance(transparency, int) else bool(transparency) and transparency[0] == 0


def _split(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, C) colours and (h, w) alpha."""
    values = np.asarray(image if image.mode in ("LA", "RGBA") else image.convert("RGBA"))
    return values[..., :-1], values[..., -1]


def _varies(colours: np.ndarray) -> bool:
    return bool((colours != colours[:1, :1]).any())


def _is_visible(path: Path) -> bool:
    """Whether anything of a picture is not transparent."""
    with open_image(path) as image:
        return not has_alpha(image) or bool(_split(image)[1].any())


def _has_shapes(path: Path) -> bool:
    with open_image(path) as image:
        return _varies(_split(image)[0] if has_alpha(image) else np.asarray(image.convert("RGB")))
