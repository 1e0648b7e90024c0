"""A vision-language model that answers questions about pictures: any that transformers loads for images and text.

One question at a time and greedily, so that an answer depends on neither batch, order nor chance.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.captioner.backend import DEFAULT_MODEL, CaptionerOptions
from lib.captioner.chat_format import ChatFormat, shrunk
from lib.captioner.model_files import find_model
from lib.captioner.precision import choose_attention, choose_dtype
from lib.errors import InputError

if TYPE_CHECKING:
    import numpy as np

SMALLEST_PICTURE = 112 * 112  # pixels; below that a model sees nothing worth saying


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
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # pictures of all sizes pass through
        files = find_model(options.model_path or DEFAULT_MODEL)
        from lib.captioner.processors import load_config, load_processor

        self.name = files.name
        self._max_pixels = options.max_pixels
        self._device = _device(options.device)
        self._chat = ChatFormat(load_processor(files.folder))
        self._attention = choose_attention(options.attention)
        self._model = _load(files.folder, load_config(files.folder), self._device, options.dtype, self._attention)

    def facts(self) -> dict[str, str]:
        """How it runs: what decides its answers besides the weights."""
        import torch
        import transformers

        return {
            "model_type": self._model.config.model_type,
            "device": torch.cuda.get_device_name() if self._device == "cuda" else "cpu",
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "attention": self._attention,
            "max_pixels": str(self._max_pixels),
            "image_processor": self._chat.image_processor,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
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
        import torch

        limit = self._max_pixels
        while True:
            shown = [shrunk(picture, limit) for picture in pictures]
            try:
                return Answer(self._generate(self._chat.inputs(system, user, shown, limit), max_new_tokens), limit)
            except torch.cuda.OutOfMemoryError as error:
                problem = " ".join(str(error).split())
            largest = max((picture.width * picture.height for picture in shown), default=0)
            if largest // 2 < SMALLEST_PICTURE:
                raise InputError(_no_memory("answering", problem, largest))
            limit = largest // 2
            del shown
            gc.collect()
            torch.cuda.empty_cache()

    def _generate(self, inputs: Any, max_new_tokens: int) -> str:
        import torch

        given = inputs.to(self._device, self._model.dtype)
        with torch.inference_mode():
            tokens = self._model.generate(
                **given,
                do_sample=False,
                num_beams=1,
                temperature=None,  # the published generation configs sample
                top_p=None,
                top_k=None,
                max_new_tokens=max_new_tokens,
                pad_token_id=self._chat.padding,
            )
        return self._chat.decoded(tokens[0, given["input_ids"].shape[1] :])


def _device(wanted: str) -> str:
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"the caption device is cuda and torch {torch.__version__} finds no GPU; choose cpu or auto, or mend the "
            "driver"
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def _load(folder: Path, config: Any, device: str, wanted: str, attention: str) -> Any:
    import torch
    import transformers
    from transformers.utils import is_accelerate_available

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    quantised = getattr(config, "quantization_config", None) is not None
    if quantised and device == "cpu":
        raise InputError(f"{folder}: its weights are quantised, which needs a GPU; take the unquantised model on a CPU")
    capability = torch.cuda.get_device_capability() if device == "cuda" else None
    number_type = "auto" if quantised and wanted == "auto" else getattr(torch, choose_dtype(device, capability, wanted))
    straight = {"device_map": {"": device}} if device == "cuda" and is_accelerate_available() else {}
    try:
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            folder,
            local_files_only=True,
            attn_implementation=attention,
            **{_dtype_argument(): number_type},
            **straight,
        )
        return model.to(device).eval() if not straight else model.eval()
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(_no_memory("loading", " ".join(str(error).split()))) from None
    except ImportError as error:
        raise InputError(f"{folder}: a package that the model needs is missing: {_line(error)}") from None
    except Exception as error:
        raise InputError(f"{folder}: the model cannot be loaded ({type(error).__name__}: {_line(error)})") from error


def _dtype_argument() -> str:
    import transformers

    return "dtype" if tuple(map(int, transformers.__version__.split(".")[:2])) >= (4, 56) else "torch_dtype"


def _no_memory(doing: str, problem: str, pixels: int | None = None) -> str:
    shown = f" with pictures of {pixels} pixels" if pixels else ""
    return (
        f"the GPU's memory does not hold the caption model: {doing}{shown} failed ({problem}). Free the GPU of other "
        "programs, take a smaller or a quantised (AWQ) model, or set the caption device to cpu"
    )


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
