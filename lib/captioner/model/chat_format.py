"""A question with pictures in the form that a model was taught to read, and its answer back in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from lib.errors import InputError

if TYPE_CHECKING:
    import numpy as np

_SHORTEST_SIDE = 56  # Qwen's processor of transformers 4.49 refuses less than 28 pixels
_LONGEST_SHAPE = 100  # long side over short side; Qwen refuses more than 200
_TILE = 448  # side of the tiles that InternVL cuts pictures into
_TILED = 1.1  # SmolVLM's tiles together may have so much more than the limit: else 1 MP would be one tile of 512 x 512


class ChatFormat:
    """Wraps a processor (`lib.captioner.model.processors`); knows nothing of weights."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

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
        """The model's inputs for one question, as a batch of one: token numbers, pixels and what belongs to them.

        Raises:
            InputError: the model's chat template takes no such question.
        """
        limits = _picture_limits(self._processor.image_processor, max_pixels) if pictures else {}
        images = {"images": [list(pictures)]} if pictures else {}
        text = [self._prompt(system.strip(), user.strip(), len(pictures))]
        return self._processor(text=text, **images, return_tensors="pt", padding=True, **limits)

    def decoded(self, tokens: Any) -> str:
        """The words of an answer; special tokens are left out."""
        return self._processor.tokenizer.decode(tokens, skip_special_tokens=True)

    def _prompt(self, system: str, user: str, pictures: int) -> str:
        """The conversation's text. A model that takes no system turn gets the rules in front of the question."""
        from jinja2 import TemplateError

        merged = f"{system}\n\n{user}" if system else user
        for turns in (_turns(user, pictures, system), _turns(merged, pictures)):
            try:
                prompt, problem = self._formatted(turns), "leaves the question out"
            except (TemplateError, TypeError, ValueError) as error:
                prompt, problem = "", str(error)
            if system in prompt and user in prompt:  # some templates pass over a system turn without a word
                return prompt
        raise InputError(f"the model's chat template takes no question about a picture ({problem}); take another model")

    def _formatted(self, turns: list[dict[str, Any]]) -> str:
        # The tokenizer's own way: the processor's looks for videos, and some then for what prepares them.
        tokenizer, template = self._processor.tokenizer, self._processor.chat_template
        given = {"chat_template": template, "tokenize": False, "add_generation_prompt": True}
        return tokenizer.apply_chat_template(turns, **given)


def shrunk(picture: np.ndarray, max_pixels: int) -> Image.Image:
    """The (H, W, 3) uint8 picture at no more than `max_pixels` pixels, its shape kept; slivers are widened."""
    image = Image.fromarray(picture)
    scale = min(1.0, (max_pixels / (image.width * image.height)) ** 0.5)
    long_side = max(image.width, image.height) * scale
    size = [max(_SHORTEST_SIDE, round(long_side / _LONGEST_SHAPE), int(side * scale)) for side in image.size]
    return image if tuple(size) == image.size else image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _turns(user: str, pictures: int, system: str = "") -> list[dict[str, Any]]:
    turns = [{"role": "system", "content": [{"type": "text", "text": system}]}] if system else []
    shown: list[dict[str, str]] = [{"type": "image"}] * pictures
    return [*turns, {"role": "user", "content": [*shown, {"type": "text", "text": user}]}]


def _picture_limits(image_processor: Any, max_pixels: int) -> dict[str, Any]:
    """For families that enlarge pictures or cut them into tiles whatever their size: as many as the limit pays for."""
    if getattr(image_processor, "max_patches", None):  # InternVL
        return {"max_patches": max(1, min(image_processor.max_patches, max_pixels // _TILE**2))}
    tile, size = getattr(image_processor, "max_image_size", None), getattr(image_processor, "size", None)
    if tile and size and "longest_edge" in size:  # SmolVLM
        side, own = dict(tile)["longest_edge"], dict(size)["longest_edge"]
        tiles = int((_TILED * max_pixels) ** 0.5 / side)  # in a row
        return {"size": {"longest_edge": max(side, min(own, tiles * side))}}
    return {}
