"""Words as the networks read them: CLIP's text model, its tokens padded or cut to 77."""

from functools import lru_cache
from typing import Protocol

import torch

from lib.diffueraser.text_model import TextModel

TEXTS_KEPT = 64  # encoded texts that are remembered: a batch mostly repeats a few


class Tokenizer(Protocol):
    """Words to numbers, as `ClipTokenizer` does it."""

    def padded(self, text: str, length: int) -> list[int]:
        """`length` numbers."""
        ...

    def overflow(self, text: str, length: int) -> str | None:
        """What does not fit, in a sentence."""
        ...


class TextEncoder:
    """Encodes each distinct text once."""

    def __init__(self, tokenizer: Tokenizer, model: TextModel) -> None:
        """model: on its device, in its final type; it belongs to this object from now on."""
        self._tokenizer, self._model = tokenizer, model
        self.length = model.config.max_position_embeddings
        self._remembered = lru_cache(maxsize=TEXTS_KEPT)(self._encode)

    def encode(self, text: str) -> torch.Tensor:
        """(1, 77, D) in the model's type, on its device: the last hidden states behind the final norm."""
        return self._remembered(text)

    def overflow(self, text: str) -> str | None:
        """What is cut off a text of more than 77 tokens, in a sentence; None if nothing is."""
        return self._tokenizer.overflow(text, self.length)

    @torch.inference_mode()
    def _encode(self, text: str) -> torch.Tensor:
        device = self._model.final_layer_norm.weight.device
        return self._model(torch.tensor([self._tokenizer.padded(text, self.length)], device=device))
