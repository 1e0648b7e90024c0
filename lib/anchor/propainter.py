"""The anchor that an engine with a ProPainter prior has already: the prior's own frame."""

from typing import Self

import numpy as np
from PIL import Image

from lib.anchor.base import AnchorInpainter
from lib.errors import InputError

CODE_VERSION = "1"


class PropainterAnchorInpainter(AnchorInpainter):
    """Fills the hole with what the prior shows there."""

    name = "propainter"

    def __init__(self, prior_frame: np.ndarray | None = None) -> None:
        """prior_frame: (H, W, 3) uint8 RGB, the prior of the frame to fill; an engine gives it by `with_prior`."""
        self._prior_frame = prior_frame

    def with_prior(self, prior_frame: np.ndarray) -> Self:
        return type(self)(prior_frame)

    def inpaint(
        self, frame: Image.Image, mask: Image.Image, prompt: str | None = None, n_prompt: str | None = None
    ) -> Image.Image:
        """As in `AnchorInpainter`; the prompts are ignored.

        Raises:
            InputError: there is no prior, or frame, mask and prior differ in size.
        """
        del prompt, n_prompt  # the prior has no words
        if self._prior_frame is None:
            raise InputError("the propainter anchor shows the engine's prior, and this engine has none; use another")
        prior = Image.fromarray(self._prior_frame)
        if not frame.size == mask.size == prior.size:
            raise InputError(
                f"the anchor's frame is {frame.size}, its mask {mask.size} and its prior {prior.size}: "
                "they must be of one size"
            )
        picture = np.array(frame.convert("RGB"))
        hole = np.asarray(mask.convert("L")) > 0
        picture[hole] = self._prior_frame[hole]
        return Image.fromarray(picture)

    def fingerprint(self) -> dict[str, str]:
        """Without the prior: it is part of what the engine's own fingerprint stands for."""
        return {"anchor": self.name, "code": CODE_VERSION}
