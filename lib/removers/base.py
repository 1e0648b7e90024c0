"""The interface every object-removal engine fits: frames and masks in, frames without the object out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from lib.anchor.base import AnchorInpainter
from lib.video.compose import Blend


def ignore_progress(_fraction: float) -> None:
    """The default of `RemovalRequest.report`: nobody watches."""


def ignore_frames(_frames: np.ndarray) -> None:
    """The default of `RemovalRequest.deliver`: the result is early enough."""


@dataclass(frozen=True)
class RemovalRequest:
    """One clip to clean, at processing size, in memory.

    frames: (T, H, W, 3) uint8 RGB. masks: (T, H, W) bool, True where the (already dilated) object is.
    """

    frames: np.ndarray
    masks: np.ndarray
    anchor: AnchorInpainter | None = None  # fills one frame of what is never visible; None = no anchor (coarse pass)
    anchor_frame_idx: int = 0  # the frame that the anchor fills first
    anchor_prompt: str = ""  # describes the background, for the anchor
    anchor_n_prompt: str = ""  # what the anchor picture must not contain
    prompt: str = ""  # describes the background, for the engine's own network
    n_prompt: str = ""  # what its result must not contain
    text_guidance_scale: float = 0.0  # weight of the engine's own prompts
    prior: np.ndarray | None = None  # (T, H, W, 3) uint8 RGB: what the engine's `prior` makes of frames and masks
    may_overwrite: bool = False  # the engine may write inside the mask of `frames` instead of copying them
    seed: int = 42
    video_name: str = ""  # names the random streams, so a result does not depend on the batch
    report: Callable[[float], None] = ignore_progress  # called with the share done, 0..1
    # Called with the result's frames (n, H, W, 3) in order, as soon as they are final; an engine need not call it.
    deliver: Callable[[np.ndarray], None] = ignore_frames


@dataclass
class RemovalResult:
    """What an engine gives back.

    frames: (T, H, W, 3) uint8 RGB, meaningful inside the mask (the caller composes them into the source).
    """

    frames: np.ndarray
    anchor_frame: np.ndarray | None = None  # (H, W, 3) uint8, the anchor picture where an anchor was asked for
    prior: np.ndarray | None = None  # (T, H, W, 3) uint8, the prior that it started from where it has one
    seconds: dict[str, float] = field(default_factory=dict)  # stage -> wall seconds
    facts: dict[str, float] = field(default_factory=dict)  # what the engine learned (shares, counts), for provenance
    notes: list[str] = field(default_factory=list)  # what the user should know


class Remover(Protocol):
    """One engine. Making it is cheap: models load with the first `remove`, which serves any number of clips."""

    name: str  # also the name of its result file: <name>.mp4
    title: str  # how pictures and pages call it
    size_multiple: int  # height and width that it is given are multiples of this
    work_copies: float  # clips at processing size in memory at a time, its input and its result among them
    uses_gpu: bool  # it works on a GPU where there is one
    uses_prompt: bool  # False: the engine hands no prompt to its anchor or to its network
    uses_text: bool  # True: its network takes a prompt itself

    @property
    def blend(self) -> Blend:
        """How its result is composed into the source unless the user says otherwise."""
        ...

    @property
    def prior(self) -> "Remover | None":
        """The engine whose result this one starts from (it may be itself), made and kept as a step of its own.

        Its `remove` needs the request's frames, masks, seed and name only; `fingerprint` covers it.
        """
        ...

    def check(self) -> None:
        """See that everything is there before any work starts.

        Raises:
            InputError: what is missing, and how to get it.
        """
        ...

    def fingerprint(self) -> dict[str, str]:
        """Everything besides the request that decides the result: name, code version, options, weight fingerprints."""
        ...

    def suggested_workers(self) -> int:
        """How many clips this machine should work on at a time, one process each."""
        ...

    def remove(self, request: RemovalRequest) -> RemovalResult:
        """Fill the hole of every frame.

        Raises:
            ValueError: shapes or types of the request do not fit each other.
        """
        ...
