"""Everything that captioning takes but the weights: `python -m lib.captioner.rehearse --options JSON`.

Runs in the caption environment before any work starts. Imports the libraries, loads configuration and processor, and
puts one question together. Says the outcome as one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from typing import Any

from lib.captioner.backend import DEFAULT_MODEL, CaptionerOptions
from lib.captioner.model_files import ModelFiles, find_model
from lib.captioner.precision import choose_attention
from lib.errors import InputError

# Way of quantising -> the package that reads such weights, for transformers before version 5 and from there on.
_READERS = {"awq": ("awq", "gptqmodel"), "gptq": ("gptqmodel", "gptqmodel"), "bitsandbytes": ("bitsandbytes",) * 2}
_ON_PYPI = {"awq": "autoawq", "flash_attn": "flash-attn"}


def rehearse(options: CaptionerOptions) -> dict[str, Any]:
    """Do it; what was found.

    Raises:
        InputError: what would have failed later.
    """
    import numpy as np
    import torch
    from PIL import Image

    from lib.captioner.chat_format import ChatFormat
    from lib.captioner.libraries import transformers_version
    from lib.captioner.processors import load_config, load_processor

    files = find_model(options.model_path or DEFAULT_MODEL)
    _check_family(files)
    load_config(files.folder)
    _check_readers(files, transformers_version()[0])
    if choose_attention(options.attention) == "flash_attention_2":
        _require("flash_attn", "--caption_attention flash_attention_2")
    chat = ChatFormat(load_processor(files.folder))
    blank = Image.fromarray(np.full((96, 128, 3), 128, np.uint8))
    tokens = chat.inputs(options.system_prompt, "Describe the background scene.", [blank], options.max_pixels)
    return {"tokens": int(tokens["input_ids"].shape[1]), "torch": str(torch.__version__), "image": chat.image_processor}


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


def _check_family(files: ModelFiles) -> None:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    if files.model_type not in CONFIG_MAPPING_NAMES:
        raise InputError(
            f"{files.folder}: found a {files.model_type} model, which transformers {transformers.__version__} of this "
            f"environment does not know; install a newer one: {sys.executable} -m pip install --upgrade transformers"
        )
    if files.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise InputError(
            f"{files.folder}: found a {files.model_type} model, which does not answer questions about pictures; "
            "expected one such as Qwen2.5-VL-7B-Instruct"
        )


def _check_readers(files: ModelFiles, transformers_version: int) -> None:
    if files.quantisation in _READERS:
        module = _READERS[files.quantisation][transformers_version >= 5]
        _require(module, f"the {files.quantisation} weights of {files.folder}")


def _require(module: str, for_what: str) -> None:
    if importlib.util.find_spec(module) is None:
        name = _ON_PYPI.get(module, module)
        raise InputError(f"{for_what}: needs the package {name}; install it: {sys.executable} -m pip install {name}")


if __name__ == "__main__":
    sys.exit(main())
