"""Words as the networks read them: CLIP's text model, its tokens padded or cut to 77."""

from functools import lru_cache

import torch
from transformers import CLIPTextModel, CLIPTokenizer

TEXTS_KEPT = 64  # encoded texts that are remembered: a batch mostly repeats a few


class TextEncoder:
    """Encodes each distinct text once."""

    def __init__(self, tokenizer: CLIPTokenizer, model: CLIPTextModel) -> None:
        """model: on its device, in its final type; it belongs to this object from now on."""
        self._tokenizer, self._model = tokenizer, model
        self.length = int(model.config.max_position_embeddings)
        self._remembered = lru_cache(maxsize=TEXTS_KEPT)(self._encode)

    def encode(self, text: str) -> torch.Tensor:
        """(1, 77, D) in the model's type, on its device: the last hidden states behind the final norm."""
        return self._remembered(text)

    def overflow(self, text: str) -> str | None:
        """What is cut off a text of more than 77 tokens, in a sentence; None if nothing is."""
        return overflow(self._tokenizer, text, self.length)

    @torch.inference_mode()
    def _encode(self, text: str) -> torch.Tensor:
        tokens = self._tokenizer(text, padding="max_length", max_length=self.length, truncation=True)
        ids = torch.tensor([tokens["input_ids"]], device=self._model.device)
        return self._model(input_ids=ids).last_hidden_state


def overflow(tokenizer: CLIPTokenizer, text: str, length: int) -> str | None:
    """What a text encoder for `length` tokens does not see of a text, in a sentence; None if it sees all."""
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    count, room = len(tokens["input_ids"]), length - 2  # a mark at each end
    if count <= room:
        return None
    lost = text[tokens["offset_mapping"][room][0] :].strip()
    return f"the text has {count} tokens and only the first {room} are read; cut off: {lost!r}"
