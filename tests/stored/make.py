"""Makes what is stored here: `PYTHONPATH=.:tests python -m stored.make`, in the project's root.

Stored files say what cache keys, output folders and parameters were when they were made. Later versions must keep them:
they may add cases to `cases.py` and call this module again, which adds what is missing and alters nothing. It ends with
an error where a stored key is not the one that is made now. A key that has to change (because the result of a case
changes) is taken out of `keys.json` by hand, with the reason in the commit's message.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from stored.cases import Case, all_cases, is_parameter_case
from stored.deployed import deployed_cases
from stored.inputs import INPUTS, KEYS, OUTPUT, PARAMETERS, lay_out, make_inputs
from stored.job_keys import Keys, keys_of
from stored.pins import VERSIONS, pin_everything

import flows
from lib.settings import RunSettings
from lib.settings.inbox import InboxSettings
from tasks.record_store import results_dir

PROJECT_ROOT = Path(flows.__file__).resolve().parents[1]  # of the version that makes it
DEPLOYMENTS = PARAMETERS / "deployments.json"
RUN_WORDS = ("--engine", "propagation", "--dataset", "custom", "--video_root", "videos", "--mask_root", "masks")
RUN_WORDS += ("--output_dir", "output", "--gt_root", "truths", "--save_comparison")
_FOLDER = Path(tempfile.gettempdir()) / "stored"


def cases() -> dict[str, Case]:
    """All cases by name: those of `cases.py` and the stored deployments'."""
    return all_cases() | deployed_cases(DEPLOYMENTS)


def run_settings(settings: RunSettings | InboxSettings) -> RunSettings:
    """What a run takes: an inbox's settings are those of the run over what is in it."""
    return settings.run_settings() if isinstance(settings, InboxSettings) else settings


def keys_in(folder: Path, settings: RunSettings | InboxSettings, gpus: int = 0, *, absolute: bool = False) -> Keys:
    """The keys of a run in a new folder, with everything pinned that differs between machines.

    absolute: the settings' relative paths are made absolute first, as for a worker.
    """
    lay_out(folder)
    with pytest.MonkeyPatch.context() as patch:
        pin_everything(patch, gpus)
        patch.chdir(folder)
        return keys_of(run_settings(settings.with_absolute_paths() if absolute else settings))


def main() -> int:
    """Exit code: 0 what was missing is there now, 1 a stored key is not the one that is made now."""
    if not INPUTS.exists():
        make_inputs(INPUTS)
    if not OUTPUT.exists():
        _make_output()
    _add_parameters()
    stored: dict[str, Keys] = json.loads(KEYS.read_text(encoding="utf-8")) if KEYS.exists() else {}
    changed = []
    for name, case in cases().items():
        with tempfile.TemporaryDirectory() as folder:
            made = keys_in(Path(folder) / "work", case.settings(), case.gpus)
        kept = stored.get(name, {})
        changed += [f"{name}: {job}" for job in kept if kept[job] != made.get(job)]
        stored[name] = {**made, **kept}
    _write_json(KEYS, stored)
    for line in changed:
        print(f"not as stored: {line}", file=sys.stderr)
    return 1 if changed else 0


def _make_output() -> None:
    """A finished run's output folder, without Prefect's database, logs and locks."""
    found = {"numpy": np.__version__, "opencv": cv2.__version__, "pypatchmatch": version("pypatchmatch")}
    assert found.items() <= VERSIONS.items(), f"found {found}, expected the versions of pins.py"
    shutil.rmtree(_FOLDER, ignore_errors=True)
    lay_out(_FOLDER)
    script = PROJECT_ROOT / "flows" / "auto_refine.py"
    subprocess.run([sys.executable, str(script), *RUN_WORDS], cwd=_FOLDER, check=True)
    made = _FOLDER / "output"
    shutil.copytree(made, OUTPUT, ignore=shutil.ignore_patterns(".prefect"))
    shutil.copytree(results_dir(made), results_dir(OUTPUT), ignore=shutil.ignore_patterns("locks"))
    shutil.rmtree(_FOLDER)


def _add_parameters() -> None:
    PARAMETERS.mkdir(exist_ok=True)
    if not DEPLOYMENTS.exists():
        deployments = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
        _write_json(DEPLOYMENTS, {item["name"]: item["parameters"] for item in deployments})
    for name, case in all_cases().items():
        path = PARAMETERS / f"{name}.json"
        if is_parameter_case(name) and not path.exists():
            _write_json(path, case.settings().model_dump(mode="json"))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
