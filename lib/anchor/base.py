"""The interface of everything that fills the hole of one single picture."""

import abc
from typing import Self

import numpy as np
from PIL import Image


class AnchorInpainter(abc.ABC):
    """Fills the hole of one frame; the engine spreads that picture over the video."""

    name: str
    uses_prompt: bool = False  # True: the picture follows the prompts
    notes: tuple[str, ...] = ()  # for the user, about how it was set up

    def check(self) -> None:  # noqa: B027 - most need no files
        """See that everything is there before any work starts.

        Raises:
            InputError: what is missing, and how to get it.
        """

    def for_video(self, video_name: str) -> Self:  # noqa: ARG002
        """The anchor with that video's own random numbers; most have none, or the same for every video."""
        return self

    def with_prior(self, prior_frame: np.ndarray) -> Self:  # noqa: ARG002
        """The anchor that knows the engine's prior (H, W, 3, uint8 RGB) of the frame; most have no use for it."""
        return self

    @abc.abstractmethod
    def inpaint(
        self, frame: Image.Image, mask: Image.Image, prompt: str | None = None, n_prompt: str | None = None
    ) -> Image.Image:
        """Return `frame` with the hole filled.

        Args:
            frame: RGB picture.
            mask: "L" picture of the same size, non-zero where the hole is.
            prompt: the background in words; implementations without text ignore it.
            n_prompt: what must not appear; implementations without text ignore it.
        """

    def fingerprint(self) -> dict[str, str]:
        """Everything besides the arguments that decides the picture (code version, weights, seed, steps)."""
        return {"anchor": self.name}
