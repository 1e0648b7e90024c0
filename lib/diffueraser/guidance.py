"""Which texts a denoising step sees, and how their answers are joined (classifier-free guidance, Ho & Salimans)."""

from dataclasses import dataclass

import torch

from lib.diffueraser.settings import CfgGate


@dataclass(frozen=True)
class TextGuidance:
    """The words of one clip, encoded: (1, 77, D) each."""

    positive: torch.Tensor
    negative: torch.Tensor
    scale: float = 0.0
    empty: torch.Tensor | None = None  # the empty prompt; what "exact" takes at scale 0


@dataclass(frozen=True)
class Conditioning:
    """The text rows of one pass through the networks, and the scale that joins their two answers (None: one row)."""

    rows: torch.Tensor  # (B, 77, D): [positive], or [negative, positive]
    scale: float | None

    def join(self, eps: torch.Tensor) -> torch.Tensor:
        """(B * T, ..) predicted noise -> (T, ..)."""
        if self.scale is None:
            return eps
        negative, positive = eps.chunk(2)
        return negative + self.scale * (positive - negative)


def condition_on(text: TextGuidance, gate: CfgGate) -> Conditioning:
    """Two rows where the scale makes a difference, else one.

    "exact": scale 0 is the empty prompt, scale 1 the prompt alone, everything else joins both answers.
    "reference": joined above 1 only; every scale up to 1 is the prompt alone.

    Raises:
        ValueError: "exact" at scale 0 without the encoded empty prompt.
    """
    if gate == "exact" and text.scale == 0:
        if text.empty is None:
            raise ValueError("text guidance 0 is the empty prompt, whose encoding is missing")
        return Conditioning(text.empty, None)
    alone = text.scale <= 1 if gate == "reference" else text.scale == 1
    if alone or torch.equal(text.positive, text.negative):
        return Conditioning(text.positive, None)
    return Conditioning(torch.cat([text.negative, text.positive]), text.scale)
