"""The processor of a vision-language model, for pictures only.

Pictures are always prepared by Pillow, and what prepares videos is left out: torchvision, which transformers prefers
for the one and demands for the other, would give other pixels where it happens to be installed.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from lib.errors import InputError


def load_config(folder: Path) -> Any:
    """The model's configuration.

    Raises:
        InputError: the installed transformers does not know this kind of model.
    """
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: transformers {transformers.__version__} of this environment does not know the model "
            f"({_first_line(error)}); install a newer one: pip install --upgrade transformers"
        ) from None


def load_processor(folder: Path) -> Any:
    """Tokenizer, preparation of pictures and chat template of a model; its weights are not read.

    Raises:
        InputError: the model or a package that it needs is not there, or it has no chat template.
    """
    import transformers

    config = load_config(folder)
    try:
        processor = _assemble(_processor_class(config, folder), folder)
    except ImportError as error:
        raise InputError(f"{folder}: its processor needs a package that is missing: {_first_line(error)}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder}: its processor cannot be loaded by transformers {transformers.__version__} "
            f"({type(error).__name__}: {_first_line(error)})"
        ) from None
    if not _chat_template(processor):
        raise InputError(f"{folder}: found no chat template; expected an instruction-tuned (chat) model")
    return processor


def _processor_class(config: Any, folder: Path) -> Any:
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    name = PROCESSOR_MAPPING_NAMES.get(config.model_type)
    name = name[0] if isinstance(name, tuple) else name
    if name is None:
        raise InputError(f"{folder}: found a {config.model_type} model; expected one that takes pictures and text")
    return getattr(transformers, name)


def _assemble(kind: Any, folder: Path) -> Any:
    import transformers

    by_pillow = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
    known = inspect.signature(kind.__init__).parameters
    stored, _ = kind.get_processor_dict(folder, local_files_only=True)
    parts = {name: value for name, value in stored.items() if name in known and not isinstance(value, dict)}
    parts["image_processor"] = transformers.AutoImageProcessor.from_pretrained(
        folder, local_files_only=True, **by_pillow
    )
    parts["tokenizer"] = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    parts["chat_template"] = stored.get("chat_template") or parts["tokenizer"].chat_template
    if "video_processor" in known:
        return _without_videos(kind)(**parts, video_processor=None)
    return kind(**parts)


def _without_videos(kind: Any) -> Any:
    """The processor's class, which takes None for what prepares videos."""

    class PicturesOnly(kind):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument is None:
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    PicturesOnly.__name__ = kind.__name__  # transformers looks some things up by the class's name
    return PicturesOnly


def _chat_template(processor: Any) -> Any:
    return processor.chat_template or processor.tokenizer.chat_template


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
