"""Counts how often each model was loaded in this process: a batch must load each of them once."""

from collections import Counter

_loads: Counter[str] = Counter()


def note_load(name: str) -> None:
    """Count one load of the model `name`."""
    _loads[name] += 1


def model_loads() -> dict[str, int]:
    """How often each model was loaded in this process."""
    return dict(_loads)
