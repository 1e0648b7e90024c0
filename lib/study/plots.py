"""Plots of a study, as SVG: the same numbers always give the same file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.metrics.definitions import Metric

if TYPE_CHECKING:
    from lib.study.table import StudyTable

_FIXED: Any = {
    "svg.hashsalt": "auto-refine",  # otherwise ids are random
    "svg.fonttype": "path",  # the same on every machine, whatever fonts it has
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_DOTS, _MEAN, _LINES = "#7a8699", "#0b57d0", "#c3cad5"


def write_plots(table: StudyTable, folder: Path, numbers: Mapping[str, float] | None = None) -> list[Path]:
    """A plot for each metric that tells variants apart; the files.

    Args:
        numbers: where each variant stands, if they are points of a sweep.
    """
    drawn = []
    for metric in table.metrics:
        values = {key: table.values(key, metric.key) for key in table.variants}
        if not metric.better or not any(values.values()):
            continue
        path = folder / f"{metric.key}.svg"
        if numbers:
            _write(path, lambda axes, values=values, metric=metric: _sweep(axes, table, metric, values, numbers))
        else:
            _write(path, lambda axes, values=values, metric=metric: _variants(axes, table, metric, values), panels=2)
        drawn.append(path)
    return drawn


def _write(path: Path, draw: Any, panels: int = 1) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_FIXED):
        figure = Figure(figsize=(4.2 * panels, 3.2), layout="constrained")
        axes = figure.subplots(1, panels)
        draw(axes)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        figure.savefig(draft, format="svg", metadata={"Date": None})
        draft.replace(path)


def _variants(axes: Any, table: StudyTable, metric: Metric, values: Mapping[str, Mapping[str, float]]) -> None:
    """Each video's value by variant, and beside it the differences from the baseline with their intervals."""
    left, right = axes
    titles = list(table.variants.values())
    for place, of_videos in enumerate(values.values()):
        numbers = list(of_videos.values())
        left.plot(numbers, _spread(place, len(numbers)), "o", color=_DOTS, alpha=0.6, markersize=4)
        if numbers:
            left.plot([sum(numbers) / len(numbers)], [place], "D", color=_MEAN, markersize=6)
    _label_rows(left, titles)
    left.set_xlabel(_axis(metric))
    left.set_title("each video, and the mean", loc="left", fontsize=9)
    for place, key in enumerate(table.variants):
        found = table.difference(key, metric.key)
        if found is None:
            continue
        right.plot([found.mean], [place], "D", color=_MEAN, markersize=6)
        if found.low is not None and found.high is not None:
            right.plot([found.low, found.high], [place, place], "-", color=_MEAN, linewidth=2)
    right.axvline(0, color=_LINES, zorder=0)
    _label_rows(right, titles)
    right.set_yticklabels([])
    right.set_xlabel(f"difference from {table.variants[table.baseline]}, 95 % interval")
    right.set_title(f"right is {'better' if metric.better == 'higher' else 'worse'}", loc="left", fontsize=9)


def _sweep(
    axes: Any,
    table: StudyTable,
    metric: Metric,
    values: Mapping[str, Mapping[str, float]],
    numbers: Mapping[str, float],
) -> None:
    """A line for each video over the swept number, and the mean of the videos that all variants have."""
    order = sorted(numbers, key=lambda key: numbers[key])
    videos = sorted({video for of_videos in values.values() for video in of_videos})
    for video in videos:
        points = [(numbers[key], values[key][video]) for key in order if video in values[key]]
        axes.plot(*zip(*points, strict=True), "-o", color=_LINES, markersize=3, linewidth=1)
    common = set.intersection(*(set(values[key]) for key in order))
    means = [(numbers[key], sum(values[key][video] for video in common) / len(common)) for key in order if common]
    if means:
        axes.plot(*zip(*means, strict=True), "-D", color=_MEAN, linewidth=2, markersize=5)
    axes.set_xlabel(table.sweep)
    axes.set_ylabel(_axis(metric))
    axes.set_title(f"each video, and the mean; {metric.better} is better", loc="left", fontsize=9)


def _axis(metric: Metric) -> str:
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def _spread(place: int, count: int) -> list[float]:
    """Rows of dots that do not hide each other."""
    return [place + 0.28 * ((index + 0.5) / count - 0.5) for index in range(count)]


def _label_rows(axes: Any, titles: Sequence[str]) -> None:
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.5, -0.5)
