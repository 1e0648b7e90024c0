"""A vision-language model that answers questions about pictures: any that transformers loads for images and text.

One question at a time and greedily, so that an answer depends on neither batch, order nor chance.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.captioner.backend import DEFAULT_MODEL, CaptionerOptions
from lib.captioner.model.chat_format import ChatFormat, shrunk
from lib.captioner.model.files import find_model
from lib.captioner.model.libraries import import_transformers
from lib.captioner.model.loading import load_model, no_memory, ran_out_of_memory
from lib.captioner.model.processors import load_processor

if TYPE_CHECKING:
    import numpy as np

SMALLEST_PICTURE = 112 * 112  # pixels; below that a model sees nothing worth saying
# The published generation configurations sample; None where greedy decoding has no use for a number.
_GREEDY = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}


@dataclass(frozen=True)
class Answer:
    """What a model said, special tokens left out."""

    text: str
    max_pixels: int  # that pictures were limited to; less than asked for where memory ran out


class ChatModel:
    """A loaded model."""

    def __init__(self, options: CaptionerOptions) -> None:
        """Load it; nothing is ever fetched from the network.

        Raises:
            InputError: it is not there, not whole, or cannot run here.
        """
        files = find_model(options.model_path or DEFAULT_MODEL)
        self.name = files.name
        self._max_pixels = options.max_pixels
        self._chat = ChatFormat(load_processor(files.folder))
        self._loaded = load_model(files.folder, options.device, options.dtype, options.attention)

    def facts(self) -> dict[str, str]:
        """How it runs: what decides its answers besides the weights."""
        import torch

        model = self._loaded.model
        return {
            "model_type": model.config.model_type,
            "device": torch.cuda.get_device_name() if self._loaded.device == "cuda" else "cpu",
            "dtype": str(model.dtype).removeprefix("torch."),
            "attention": self._loaded.attention,
            "max_pixels": str(self._max_pixels),
            "image_processor": self._chat.image_processor,
            "torch": str(torch.__version__),
            "transformers": str(import_transformers().__version__),
        }

    def ask(self, system: str, user: str, pictures: Sequence[np.ndarray], max_new_tokens: int = 96) -> Answer:
        """The answer to one question.

        Args:
            system: the rules.
            user: the question.
            pictures: (H, W, 3) uint8 RGB; shown smaller where they have more pixels than the options allow, and
                smaller still where memory runs out.

        Raises:
            InputError: memory does not even hold small pictures.
        """
        limit = self._max_pixels
        while True:
            shown = [shrunk(picture, limit) for picture in pictures]
            try:
                return Answer(self._generate(self._chat.inputs(system, user, shown, limit), max_new_tokens), limit)
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise
            # Here and not above: the exception would keep alive what is to be freed.
            _free_memory(self._loaded.device)
            largest = max((picture.width * picture.height for picture in shown), default=0)
            if largest // 2 < SMALLEST_PICTURE:
                sizes = " and ".join(f"{picture.width}x{picture.height}" for picture in shown) or "no"
                raise no_memory(f"answering a question about {sizes} pixels", self._loaded.device)
            limit = largest // 2

    def _generate(self, inputs: Any, max_new_tokens: int) -> str:
        import torch

        model = self._loaded.model
        given = inputs.to(self._loaded.device, model.dtype)
        with torch.inference_mode():
            tokens = model.generate(**given, **_GREEDY, max_new_tokens=max_new_tokens, pad_token_id=self._chat.padding)
        return self._chat.decoded(tokens[0, given["input_ids"].shape[1] :])


def _free_memory(device: str) -> None:
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
