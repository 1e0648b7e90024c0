"""The table of a study: every number of every video in every variant, means, and differences from the baseline."""

import csv
import dataclasses
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from lib.metrics.definitions import METRICS, Metric
from lib.provenance import write_json
from lib.study.statistics import CONFIDENCE, RESAMPLES, PairedDifference, paired_difference


class StudyRow(BaseModel):
    """One video in one variant."""

    model_config = ConfigDict(frozen=True)

    variant: str  # its key
    video: str
    status: str
    reason: str = ""
    same_as: str = ""  # title of the variant whose result this is
    seconds: float = 0.0
    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}


@dataclass(frozen=True)
class StudyTable:
    """All rows, and what they come to."""

    title: str
    variants: Mapping[str, str]  # titles by key, in order
    baseline: str
    rows: Sequence[StudyRow]
    seed: int
    of_set: Mapping[str, Mapping[str, float]]  # by variant: means of the data set, and what only a set has
    sweep: str = ""  # what is swept, if the variants are points of a sweep

    @property
    def metrics(self) -> list[Metric]:
        """Those that any row or set has."""
        having = {key for row in self.rows for key in row.values}
        having |= {key for means in self.of_set.values() for key in means}
        return [metric for key, metric in METRICS.items() if key in having]

    def values(self, variant: str, metric: str) -> dict[str, float]:
        """A metric of a variant by video."""
        return {row.video: row.values[metric] for row in self.rows if row.variant == variant and metric in row.values}

    def difference(self, variant: str, metric: str) -> PairedDifference | None:
        """The variant against the baseline; None for the baseline itself, or without a video that has both."""
        if variant == self.baseline:
            return None
        return paired_difference(
            self.values(self.baseline, metric),
            self.values(variant, metric),
            seed=self.seed,
            name=f"{variant} {metric}",
        )

    def differences(self) -> dict[str, dict[str, PairedDifference]]:
        """All of them, by variant and metric."""
        found: dict[str, dict[str, PairedDifference]] = {}
        for variant in self.variants:
            for metric in self.metrics:
                if difference := self.difference(variant, metric.key):
                    found.setdefault(variant, {})[metric.key] = difference
        return found

    def write_csv(self, path: Path) -> Path:
        """A line for each video in each variant."""
        keys = [metric.key for metric in self.metrics if metric.key != "vfid"]
        head = ["variant", "video", "status", "same_as", "seconds", *keys, "reason"]
        lines = [
            [row.variant, row.video, row.status, row.same_as, row.seconds]
            + [row.values.get(key, "") for key in keys]
            + [row.reason]
            for row in self.rows
        ]
        return _write_text(path, _csv([head, *lines]))

    def write_json(self, path: Path) -> Path:
        """The same with means, differences and definitions."""
        return write_json(path, self.content())

    def content(self) -> dict[str, Any]:
        """What the JSON file holds."""
        return {
            "schema_version": 1,
            "title": self.title,
            "variants": dict(self.variants),
            "baseline": self.baseline,
            "definitions": {metric.key: dataclasses.asdict(metric) for metric in self.metrics},
            "intervals": f"{CONFIDENCE:.0%} percentile bootstrap of the mean paired difference, {RESAMPLES} resamples "
            "of the videos",
            "means": {variant: dict(means) for variant, means in self.of_set.items()},
            "differences": {
                variant: {key: _difference(key, difference) for key, difference in found.items()}
                for variant, found in self.differences().items()
            },
            "rows": [row.model_dump(mode="json") for row in self.rows],
        }

    def text(self) -> str:
        """Means for the terminal: a line a metric, a column a variant."""
        head = ["", *self.variants.values()]
        lines = [
            [_named(metric), *(_number(self.of_set.get(key, {}).get(metric.key)) for key in self.variants)]
            for metric in self.metrics
            if metric.better
        ]
        return _columns([head, *lines])


def in_words(difference: PairedDifference, metric: Metric) -> str:
    """`+1.20 (0.80 … 1.60), better`."""
    shown = f"{difference.mean:+.2g}"
    if difference.low is None or difference.high is None:
        return f"{shown} (one video: no interval)"
    return f"{shown} ({difference.low:.2g} … {difference.high:.2g}), {difference.verdict(metric.better)}"


def _difference(key: str, difference: PairedDifference) -> dict[str, Any]:
    return {
        "mean": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "videos": difference.count,
        "verdict": difference.verdict(METRICS[key].better),
    }


def _named(metric: Metric) -> str:
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _csv(lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path
