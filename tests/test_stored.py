"""Cache keys and parameters that an earlier version stored: settings at their defaults must keep their keys, and old
parameters must still be read. What is stored, and how a later version adds to it: `stored/make.py`.
"""

import json
from pathlib import Path

import pytest
from stored.cases import MODELS
from stored.inputs import KEYS, PARAMETERS
from stored.job_keys import Keys
from stored.make import DEPLOYMENTS, cases, keys_in

STORED: dict[str, Keys] = json.loads(KEYS.read_text(encoding="utf-8"))
PARAMETER_FILES = sorted(path for path in PARAMETERS.glob("*.json") if path != DEPLOYMENTS)


def differences(stored: Keys, made: Keys) -> list[str]:
    """The jobs whose keys are not the stored ones."""
    gone = [f"{job}: no such job any more, stored as {key}" for job, key in stored.items() if job not in made]
    new = [f"{job}: not stored" for job in made if job not in stored]
    changed = [
        f"{job}: stored {key}, now {made[job]}" for job, key in stored.items() if job in made and made[job] != key
    ]
    return gone + new + changed


def test_every_case_is_stored_and_every_stored_case_is_there() -> None:
    assert sorted(cases()) == sorted(STORED)


@pytest.mark.parametrize("name", STORED)
def test_jobs_keep_their_keys(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    found = differences(STORED[name], keys_in(tmp_path / "work", case.settings(), case.gpus))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", PARAMETER_FILES, ids=lambda path: path.stem)
def test_stored_parameters_are_still_read_and_give_the_same_keys(path: Path, tmp_path: Path) -> None:
    model = MODELS[path.stem.split()[0]]
    settings = model.model_validate_json(path.read_bytes())
    made = keys_in(tmp_path / "elsewhere", settings, cases()[path.stem].gpus, absolute=True)
    found = differences(STORED[path.stem], made)
    assert not found, "\n".join(found)


def test_all_kinds_of_jobs_are_stored() -> None:
    """Else a job class could leave the guard unnoticed."""
    phases = {key.rpartition("-")[0] for keys in STORED.values() for key in keys.values()}
    removals = {"coarse", "refine", "remove", "variant", "prior", "anchor"}
    looks = {"preview", "evaluate", "comparison", "comparison with truth", "judge"}
    assert phases == {"caption", *removals, *looks}
