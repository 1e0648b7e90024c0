"""A question with pictures in the form that a model was taught to read, and its answer back in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import numpy as np

_SHORTEST_SIDE = 56  # Qwen's processor of transformers 4.49 refuses less than 28 pixels
_LONGEST_SHAPE = 100  # long side over short side; Qwen refuses more than 200
_TILE = 448  # side of the tiles that InternVL cuts pictures into


class ChatFormat:
    """Wraps a processor (`lib.captioner.processors`); knows nothing of weights."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._system_role = True  # until the model refuses one

    @property
    def image_processor(self) -> str:
        """The class that prepares pictures."""
        return type(self._processor.image_processor).__name__

    @property
    def padding(self) -> int | None:
        """The token for empty places."""
        tokenizer = self._processor.tokenizer
        return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def inputs(self, system: str, user: str, pictures: Sequence[Image.Image], max_pixels: int) -> Any:
        """The model's inputs for one question, as a batch of one: token numbers, pixels and what belongs to them."""
        limits = _picture_limits(self._processor.image_processor, max_pixels) if pictures else {}
        images = {"images": [list(pictures)]} if pictures else {}
        text = [self._prompt(system, user, len(pictures))]
        return self._processor(text=text, **images, return_tensors="pt", padding=True, **limits)

    def decoded(self, tokens: Any) -> str:
        """The words of an answer; special tokens are left out."""
        return self._processor.tokenizer.decode(tokens, skip_special_tokens=True)

    def _prompt(self, system: str, user: str, pictures: int) -> str:
        """The conversation's text. A model that refuses a system turn gets the rules in front of the question."""
        from jinja2 import TemplateError

        if self._system_role:
            try:
                return self._formatted(_turns(user, pictures, system))
            except TemplateError:
                self._system_role = False
        return self._formatted(_turns(f"{system.strip()}\n\n{user}", pictures))

    def _formatted(self, turns: list[dict[str, Any]]) -> str:
        return self._processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def shrunk(picture: np.ndarray, max_pixels: int) -> Image.Image:
    """The (H, W, 3) uint8 picture at no more than `max_pixels` pixels, its shape kept; slivers are widened."""
    image = Image.fromarray(picture)
    scale = min(1.0, (max_pixels / (image.width * image.height)) ** 0.5)
    long_side = max(image.width, image.height) * scale
    size = [max(_SHORTEST_SIDE, round(long_side / _LONGEST_SHAPE), int(side * scale)) for side in image.size]
    return image if tuple(size) == image.size else image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _turns(user: str, pictures: int, system: str = "") -> list[dict[str, Any]]:
    turns = [{"role": "system", "content": [{"type": "text", "text": system.strip()}]}] if system else []
    shown: list[dict[str, str]] = [{"type": "image"}] * pictures
    return [*turns, {"role": "user", "content": [*shown, {"type": "text", "text": user}]}]


def _picture_limits(image_processor: Any, max_pixels: int) -> dict[str, Any]:
    """For families that enlarge pictures or cut them into tiles whatever their size: as many as the limit pays for."""
    if getattr(image_processor, "max_patches", None):  # InternVL
        return {"max_patches": max(1, min(image_processor.max_patches, max_pixels // _TILE**2))}
    tile, size = getattr(image_processor, "max_image_size", None), getattr(image_processor, "size", None)
    if tile and size and "longest_edge" in size:  # SmolVLM
        side, own = dict(tile)["longest_edge"], dict(size)["longest_edge"]
        return {"size": {"longest_edge": max(side, min(own, int(max_pixels**0.5) // side * side))}}
    return {}
