"""How transformers is imported for captions: offline, quiet, and with eyes for pictures only.

Its processors prefer torchvision for pictures and demand it for videos. Captions need neither, and torchvision would
give other pixels where it happens to be installed, or break the import where it does not fit torch. So it counts as
not installed in a process that captions.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from typing import Any

_SMOLVLM_VIDEOS = "transformers.models.smolvlm.video_processing_smolvlm"
_SMOLVLM_VIDEO_TEXTS = ("DEFAULT_MEDIA_OUTTRO", "DEFAULT_VIDEO_INTRO", "FRAME_TIMESTAMP_MESSAGE")


def import_transformers() -> Any:
    """The package; everything here that uses it gets it from here."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read at the import
    sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # Python's own way to say "not installed"
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def transformers_version() -> tuple[int, int]:
    """Major and minor number."""
    major, minor = import_transformers().__version__.split(".")[:2]
    return int(major), int(minor)


def processor_class(name: str) -> Any:
    """A family's processor class of transformers, changed so that it takes None for what prepares videos."""
    if name.startswith("SmolVLM"):
        _spare_smolvlm_videos()

    class PicturesOnly(getattr(import_transformers(), name)):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument is None:
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    PicturesOnly.__name__ = name  # transformers looks some things up by the class's name
    return PicturesOnly


def _spare_smolvlm_videos() -> None:
    """SmolVLM's processor imports texts from its video side (in older versions) and wants num2words for videos."""
    import_transformers()
    videos = types.ModuleType(_SMOLVLM_VIDEOS)
    vars(videos).update(dict.fromkeys(_SMOLVLM_VIDEO_TEXTS, ""))
    sys.modules.setdefault(_SMOLVLM_VIDEOS, videos)
    processing: Any = importlib.import_module("transformers.models.smolvlm.processing_smolvlm")
    processing.num2words = processing.num2words or str
