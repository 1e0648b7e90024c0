"""The numbers of a whole data set: means of the videos', and those that only a set has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib.errors import InputError
from lib.metrics.definitions import METRICS
from lib.metrics.networks.vfid import vfid
from lib.metrics.scores import Scores


@dataclass(frozen=True)
class DataSetScores:
    """What a set of videos comes to."""

    means: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # videos that have that number
    unavailable: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def data_set_scores(scores: Mapping[str, Scores], features: Mapping[str, Path] | None = None) -> DataSetScores:
    """Means over the videos that have a number; protocol `propainter` weighs them by frames, as papers do.

    Args:
        features: by video, the file with what VFID is made of; that of a video without VFID is from earlier runs and
            left alone.
    """
    means, counts = {}, {}
    for key in METRICS:
        having = [one for one in scores.values() if key in one.values]
        if having:
            weights = [one.frames if one.protocol == "propainter" else 1 for one in having]
            means[key] = float(np.average([one.values[key] for one in having], weights=weights))
            counts[key] = len(having)
    unavailable = {key: why for one in scores.values() for key, why in one.unavailable.items() if key not in means}
    notes: tuple[str, ...] = ()
    wanted = {name for name, one in scores.items() if "vfid" not in one.unavailable}
    found = _read_features({name: path for name, path in (features or {}).items() if name in wanted})
    if wanted:
        value, said = vfid(found)
        if value is None:
            unavailable["vfid"] = said
        else:
            means["vfid"], counts["vfid"] = value, len(found)
            unavailable.pop("vfid", None)
            notes = (said,) if said else ()
    return DataSetScores(means, counts, unavailable, notes)


def _read_features(files: Mapping[str, Path]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for name, path in files.items():
        try:
            with np.load(path, allow_pickle=False) as stored:
                if {"i3d_result", "i3d_truth"} <= set(stored.files):
                    found[name] = (stored["i3d_result"], stored["i3d_truth"])
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: holds no features of a metric ({error}); delete it and run again") from None
    return found
