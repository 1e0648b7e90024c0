"""The interface every captioner fits: pictures with a gray hole in, one sentence out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from lib.captioner.words.prompts import SYSTEM_PROMPT
from lib.errors import InputError

if TYPE_CHECKING:  # the parent of a resident captioner needs the names here without numpy
    import numpy as np

CaptionSource = Literal["auto_palette", "auto_masked", "fallback"]
DEFAULT_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
MAX_PIXELS = 1280 * 28 * 28  # of a picture as the model sees it; Qwen's own default fills 40 GB


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
    object_phrase: str = ""  # the removed object in a few words, where it was asked for
    raw: tuple[str, ...] = ()  # everything a model answered, in order


@dataclass(frozen=True)
class CaptionerOptions:
    """What holds for all videos of a batch; it goes through JSON to the caption environment. `palette` needs none."""

    backend: str = "palette"
    model_path: str | None = None  # local folder or hub id
    device: str = "auto"  # "auto", "cuda" or "cpu"
    dtype: str = "auto"  # "auto", "bfloat16", "float16" or "float32"
    attention: str = "auto"  # "auto", "sdpa", "eager" or "flash_attention_2"
    max_pixels: int = MAX_PIXELS  # larger pictures are shown smaller
    system_prompt: str = SYSTEM_PROMPT
    multi_sample_merge: str = "longest"  # several frames: "longest" sentence, or a "summary" by the model
    object_negative_prompt: bool = False  # also name the removed object

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CaptionerOptions:
        """The options from `to_dict`'s values or their JSON round trip.

        Raises:
            InputError: an unknown field.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise InputError(f"captioner options: unknown fields {unknown}; expected {sorted(known)}")
        return cls(**values)


class Captioner(Protocol):
    """One backend. Making it loads its model; `describe` may then be called for any number of videos."""

    name: str

    def facts(self) -> dict[str, str]:
        """How it runs, for the record: name, version, and for a model its dtype, device, attention, libraries."""
        ...

    def describe(self, pictures: Sequence[CaptionPicture], object_picture: np.ndarray | None = None) -> Caption:
        """One sentence of at most 30 words for all pictures (one or more frames of the same video).

        Args:
            object_picture: (h, w, 3) uint8 RGB, the removed object in the source, where it is to be named.
        """
        ...


@runtime_checkable
class Answering(Protocol):
    """A captioner that also answers any question about pictures: one with a model."""

    name: str

    def facts(self) -> dict[str, str]:
        """As of `Captioner`."""
        ...

    def answer(self, system: str, question: str, pictures: Sequence[np.ndarray], max_new_tokens: int) -> str:
        """What the model says, as it says it.

        Args:
            system: the rules.
            pictures: (H, W, 3) uint8 RGB, in the order in which the question speaks of them.
        """
        ...


def _load_palette(_options: CaptionerOptions) -> Captioner:
    from lib.captioner.palette import PaletteCaptioner

    return PaletteCaptioner()


def _load_vlm(options: CaptionerOptions) -> Captioner:
    from lib.captioner.vlm import VlmCaptioner

    return VlmCaptioner(options)


# Each loader imports its own module, so that a backend costs nothing where it is not used.
_LOADERS: dict[str, Callable[[CaptionerOptions], Captioner]] = {"palette": _load_palette, "vlm": _load_vlm}
# Modules a backend needs in the caption environment, as imported.
BACKEND_MODULES: dict[str, tuple[str, ...]] = {
    "palette": ("numpy", "PIL", "yaml"),
    "vlm": ("numpy", "PIL", "yaml", "torch", "transformers"),
}


def backend_names() -> tuple[str, ...]:
    """The names that `load_captioner` knows."""
    return tuple(_LOADERS)


def load_captioner(options: CaptionerOptions) -> Captioner:
    """The backend that the options name, loaded and ready.

    Raises:
        InputError: no such backend, or its model cannot be loaded.
    """
    if options.backend not in _LOADERS:
        raise InputError(f"found the caption backend {options.backend!r}; expected one of: {', '.join(_LOADERS)}")
    return _LOADERS[options.backend](options)
