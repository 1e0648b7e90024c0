"""The configuration and the processor of a vision-language model: tokenizer, preparation of pictures, chat template.

Pictures are always prepared by Pillow, so that they look the same to the model in every environment.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from lib.captioner.model.libraries import import_transformers, processor_class, transformers_version
from lib.errors import InputError

# Code that a model's folder brings along is never run; said aloud, since transformers would ask at the terminal.
LOCAL = {"local_files_only": True, "trust_remote_code": False}


def load_config(folder: Path) -> Any:
    """The model's configuration.

    Raises:
        InputError: the installed transformers does not know this kind of model, or the model brings its own code.
    """
    transformers = import_transformers()
    try:
        return transformers.AutoConfig.from_pretrained(folder, **LOCAL)
    except Exception as error:  # noqa: BLE001 - each family checks its own fields in its own way
        found = f"{folder}: transformers {transformers.__version__} of this environment cannot read config.json"
        raise InputError(f"{found} ({first_line(error)}); {_advice(error)}") from None


def load_processor(folder: Path) -> Any:
    """Tokenizer, preparation of pictures and chat template of a model; its weights are not read.

    Raises:
        InputError: the model or a package that it needs is not there, or it has no chat template.
    """
    config = load_config(folder)
    try:
        processor = _assemble(processor_class(_class_name(config, folder)), folder)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"{folder}: its processor needs a package that is missing: {first_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - damaged files fail in as many ways as there are tokenizers
        raise InputError(
            f"{folder}: its processor cannot be loaded by transformers {import_transformers().__version__} "
            f"({type(error).__name__}: {first_line(error)}); {_advice(error)}"
        ) from None
    if not processor.chat_template:
        raise InputError(f"{folder}: found no chat template; expected an instruction-tuned (chat) model")
    return processor


def first_line(error: BaseException) -> str:
    """What an error says, short."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _advice(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "models that bring their own code are not run: take a variant in transformers' own format, such as -hf"
    return "fetch it again, or install a newer transformers: pip install --upgrade transformers"


def _class_name(config: Any, folder: Path) -> str:
    import_transformers()
    from transformers.models.auto import processing_auto

    name = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"].get(config.model_type)
    name = name[0] if isinstance(name, tuple) else name
    if name is None:
        raise InputError(f"{folder}: found a {config.model_type} model; expected one that takes pictures and text")
    return name


def _assemble(kind: Any, folder: Path) -> Any:
    """The processor of its parts. AutoProcessor would want torchvision, for the videos that are left out here."""
    transformers = import_transformers()
    # Not `transformers.AutoImageProcessor`: some versions before 5.23 offer that with torchvision alone.
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    by_pillow = {"backend": "pil"} if transformers_version() >= (5, 0) else {"use_fast": False}
    known = inspect.signature(kind.__init__).parameters
    stored, _ = kind.get_processor_dict(folder, **LOCAL)
    parts = {name: value for name, value in stored.items() if name in known and not isinstance(value, dict)}
    parts["image_processor"] = AutoImageProcessor.from_pretrained(folder, **LOCAL, **by_pillow)
    parts["tokenizer"] = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    template = stored.get("chat_template") or parts["tokenizer"].chat_template
    parts["chat_template"] = template.get("default") if isinstance(template, dict) else template
    if "video_processor" in known:
        parts["video_processor"] = None
    return kind(**parts)
