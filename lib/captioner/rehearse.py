"""Everything that captioning takes but the weights: `python -m lib.captioner.rehearse --options JSON`.

Runs in the caption environment before any work starts. Imports the libraries, loads configuration and processor, puts
one question together and lets the device compute. Says the outcome as one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from typing import Any

from lib.captioner.backend import DEFAULT_MODEL, CaptionerOptions
from lib.captioner.model.files import ModelFiles, find_model
from lib.captioner.model.precision import choose_attention
from lib.captioner.words.prompts import USER_PROMPT
from lib.errors import InputError

# Way of quantising -> the packages that read such weights, for transformers before version 5 and from there on.
_READERS = {
    "awq": (("awq", "accelerate"), ("gptqmodel", "accelerate")),
    "gptq": (("gptqmodel", "optimum"), ("gptqmodel", "optimum")),
    "bitsandbytes": (("bitsandbytes", "accelerate"), ("bitsandbytes", "accelerate")),
    "compressed-tensors": (("compressed_tensors",), ("compressed_tensors",)),
    "fp8": (("accelerate",), ("accelerate",)),
}
_ON_PYPI = {"awq": "autoawq", "flash_attn": "flash-attn", "compressed_tensors": "compressed-tensors"}


def rehearse(options: CaptionerOptions) -> dict[str, Any]:
    """Do it; what was found.

    Raises:
        InputError: what would have failed later.
    """
    from lib.captioner.model.libraries import import_transformers, transformers_version
    from lib.captioner.model.loading import plan_loading

    transformers = import_transformers()
    files = find_model(options.model_path or DEFAULT_MODEL)
    _check_family(files)
    _check_readers(files, transformers_version()[0])
    if choose_attention(options.attention) == "flash_attention_2":
        _require(("flash_attn",), "--caption_attention flash_attention_2")
    plan = plan_loading(files.folder, options.device, options.dtype, options.attention)
    _compute(plan.device, plan.numbers)
    how = {"device": plan.device, "dtype": plan.numbers, "transformers": str(transformers.__version__)}
    return {**how, **_question(files, options)}


def main(arguments: list[str] | None = None) -> int:
    """Rehearse and say how it went; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lib.captioner.rehearse", description=__doc__)
    parser.add_argument("--options", default="{}", help="CaptionerOptions as JSON")
    given = parser.parse_args(arguments).options
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print goes to stderr
    try:
        outcome = {"ok": True, **rehearse(CaptionerOptions.from_dict(json.loads(given)))}
    except InputError as error:
        outcome = {"ok": False, "error": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a library raises would have been raised at night
        outcome = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(outcome) + "\n")
    answers.flush()
    return 0 if outcome["ok"] else 1


def _question(files: ModelFiles, options: CaptionerOptions) -> dict[str, Any]:
    """One question about a blank picture, as the model would get it."""
    import numpy as np
    from PIL import Image

    from lib.captioner.model.chat_format import ChatFormat
    from lib.captioner.model.processors import load_processor

    chat = ChatFormat(load_processor(files.folder))
    blank = Image.fromarray(np.full((96, 128, 3), 128, np.uint8))
    tokens = chat.inputs(options.system_prompt, USER_PROMPT, [blank], options.max_pixels)["input_ids"]
    return {"tokens": int(tokens.shape[1]), "image_processor": chat.image_processor}


def _check_family(files: ModelFiles) -> None:
    from lib.captioner.model.libraries import import_transformers
    from lib.captioner.model.processors import load_config

    transformers = import_transformers()
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING as ANSWERING

    found = f"{files.folder}: found a {files.model_type} model"
    if files.model_type not in transformers.CONFIG_MAPPING and not files.own_code:
        raise InputError(
            f"{found}, which transformers {transformers.__version__} of this environment does not know; install a "
            f"newer one: {sys.executable} -m pip install --upgrade transformers"
        )
    config = load_config(files.folder)  # refuses models with code of their own
    if type(config) not in ANSWERING:
        raise InputError(
            f"{found}, which does not answer questions about pictures; expected one such as Qwen2.5-VL-7B-Instruct"
        )
    ANSWERING[type(config)]  # imports the model's class


def _check_readers(files: ModelFiles, transformers_version: int) -> None:
    if files.quantisation in _READERS:
        modules = _READERS[files.quantisation][transformers_version >= 5]
        _require(modules, f"the {files.quantisation} weights of {files.folder}")


def _require(modules: tuple[str, ...], for_what: str) -> None:
    missing = [_ON_PYPI.get(module, module) for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(
            f"{for_what}: missing in this environment: {', '.join(missing)}; install with: {sys.executable} -m pip "
            f"install {' '.join(missing)}"
        )


def _compute(device: str, numbers: str) -> None:
    """A torch that was not built for this GPU tells so only when it computes."""
    import torch

    from lib.captioner.model.processors import first_line

    try:
        float(torch.ones(2, device=device, dtype=getattr(torch, numbers, torch.float16)).sum())
    except RuntimeError as error:
        raise InputError(
            f"torch {torch.__version__} cannot compute on the device {device} ({first_line(error)}); end other "
            "programs there, install a torch that fits it, or set --caption_device cpu"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
