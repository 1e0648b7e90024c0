"""The interface every captioner fits: pictures with a gray hole in, one sentence out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from lib.errors import InputError

if TYPE_CHECKING:  # the parent of a resident captioner needs the names here without numpy
    import numpy as np

CaptionSource = Literal["auto_palette", "auto_masked", "fallback"]


@dataclass(frozen=True, eq=False)
class CaptionPicture:
    """One frame as the captioner sees it."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB, gray where the hole is
    hole: np.ndarray  # (H, W) bool, True where nothing may be said about the picture
    frame_idx: int = 0  # its place in the video


@dataclass(frozen=True)
class Caption:
    """One sentence about the visible background, and how it came about."""

    text: str
    source: CaptionSource
    model: str
    flags: tuple[str, ...] = ()  # what a person should look at, such as "no_visible_pixels"


class Captioner(Protocol):
    """One backend. Making it loads its model; `describe` may then be called for any number of videos."""

    name: str

    def fingerprint(self) -> dict[str, str]:
        """Everything besides the pictures that decides the sentence: name, code version, model."""
        ...

    def describe(self, pictures: Sequence[CaptionPicture]) -> Caption:
        """One sentence of at most 30 words for all pictures (one or more frames of the same video)."""
        ...


@dataclass(frozen=True)
class CaptionerOptions:
    """How a backend is loaded. `palette` needs none of it."""

    model_path: str | None = None  # local folder or hub id
    device: str = "cuda"  # "cuda" or "cpu"


def _load_palette(_options: CaptionerOptions) -> Captioner:
    from lib.captioner.palette import PaletteCaptioner

    return PaletteCaptioner()


# Each loader imports its own module, so that a backend costs nothing where it is not used.
_LOADERS: dict[str, Callable[[CaptionerOptions], Captioner]] = {"palette": _load_palette}
# Modules a backend needs in the caption environment, as imported.
BACKEND_MODULES: dict[str, tuple[str, ...]] = {"palette": ("numpy", "PIL", "yaml")}
DEFAULT_BACKEND = "palette"


def backend_names() -> tuple[str, ...]:
    """The names that `load_captioner` knows."""
    return tuple(_LOADERS)


def load_captioner(name: str, options: CaptionerOptions | None = None) -> Captioner:
    """The backend `name`, loaded and ready.

    Raises:
        InputError: no such backend.
    """
    if name not in _LOADERS:
        raise InputError(f"found the caption backend {name!r}; expected one of: {', '.join(_LOADERS)}")
    return _LOADERS[name](options or CaptionerOptions())
