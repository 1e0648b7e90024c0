"""The `parameters` blocks of prefect.yaml as they were stored, and the settings that a run takes from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stored.cases import Case

_MODELS = {
    "auto-refine": "auto_refine",
    "auto-refine-shard": "auto_refine",
    "auto-refine-nightly": "inbox",
    "remove": "remove",
    "study": "study",
}
# What `prefect deploy` puts in place of the names, and what the person adds who starts the deployment.
_FOLDERS = {"RESULTS": "output", "WEIGHTS": "weights", "INBOX": "inbox", "OUTBOX": "outbox"}
_ADDED = {"dataset": "custom", "video_root": "videos", "mask_root": "masks"}


def deployed_cases(path: Path) -> dict[str, Case]:
    """A case for each deployment in the file that has parameters."""
    blocks: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {f"deployment {name}": _case(_MODELS[name], block) for name, block in blocks.items() if "settings" in block}


def _case(model: str, block: Mapping[str, Any]) -> Case:
    text = json.dumps(block["settings"])
    for name, folder in _FOLDERS.items():
        text = text.replace(f"{{{{ $AUTO_REFINE_{name} }}}}", folder)
    values = json.loads(text)
    if model != "inbox":
        values["input_output"] |= _ADDED
    return Case(model, values)
