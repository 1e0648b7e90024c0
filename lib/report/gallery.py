"""The page of a run or a study: every video to sort, to play beside its source, to compare and to vote on.

It opens from disk, without a network; the clips that it plays lie beside it or elsewhere in the output folder. Nothing
is loaded of a video before somebody opens it, but its thumbnail once that comes into view.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lib.metrics.definitions import Metric
from lib.notes import Note
from lib.records import Status
from lib.report.notes import each_once
from lib.report.page import link, write_page
from lib.report.run_page import duration

_ORDER: tuple[Status, ...] = ("failed", "skipped", "done", "cached")
_ARROWS = {"higher": "↑", "lower": "↓", "": ""}
_BETTER = {"higher": "Higher is better.", "lower": "Lower is better.", "": ""}


@dataclass(frozen=True)
class Clip:
    """Something to play: an mp4 of the result's length and frame times."""

    label: str
    file: Path
    playable: Path | None = None  # what is played instead where browsers do not play the file


@dataclass(frozen=True)
class Variant:
    """One way of making results; a plain run has one."""

    key: str
    title: str
    description: str = ""


@dataclass(frozen=True)
class VariantResult:
    """What one variant made of a video."""

    variant: str  # its key
    status: Status
    reason: str = ""
    result: Path | None = None
    playable: Path | None = None  # what is played instead where browsers do not play the result
    same_as: str = ""  # title of the variant whose file this is
    prompt: str = ""
    anchor: Path | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)  # by phase
    peak_memory_bytes: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)  # by metric
    unavailable: Mapping[str, str] = field(default_factory=dict)  # by metric, why
    judgement: str = ""  # what a model said of it: no metric
    notes: Sequence[Note] = ()
    not_carried: str = ""  # what the source has and the result lacks, besides pictures
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class GalleryVideo:
    """One video with all its results."""

    name: str
    status: Status
    phase: str = ""  # that failed
    reason: str = ""
    thumbnail: Path | None = None
    clips: Sequence[Clip] = ()  # source, mask, coarse: those that there are
    caption: str = ""
    caption_source: str = ""
    caption_flags: Sequence[str] = ()
    caption_frame: Path | None = None
    results: Sequence[VariantResult] = ()
    notes: Sequence[Note] = ()  # of whichever phase
    fps: float = 24.0
    frames: int = 0  # of each clip; 0: as many as fit into its length
    times: Sequence[float] = ()  # seconds at which each frame starts and the last one ends; empty: they last alike


@dataclass(frozen=True)
class Gallery:
    """All that the page shows."""

    title: str
    finished_at: datetime  # with its time zone
    seconds: float
    videos: Sequence[GalleryVideo]
    variants: Sequence[Variant]
    metrics: Sequence[Metric] = ()  # in the order of the columns
    means: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by variant and metric, of the data set
    unavailable: Mapping[str, str] = field(default_factory=dict)  # by a metric's key or label, why no video has it
    baseline: str = ""  # key of the variant that others are compared with
    differences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by variant and metric, in words
    settings: Mapping[str, str] = field(default_factory=dict)  # those that are not the defaults, by flag
    links: Mapping[str, Path] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    plots: Sequence[Path] = ()


def write_gallery(gallery: Gallery, path: Path) -> Path:
    """Write the page in one step; links are relative to the folder of `path`."""
    began = gallery.finished_at - timedelta(seconds=gallery.seconds)
    counts = Counter(video.status for video in gallery.videos)
    return write_page(
        path,
        "gallery.html.j2",
        gallery=gallery,
        began=f"{began:%Y-%m-%d %H:%M}",
        ended=f"{gallery.finished_at:%Y-%m-%d %H:%M %Z}",
        took=duration(gallery.seconds),
        counts={status: counts[status] for status in _ORDER if counts[status]},
        links={label: link(target, path.parent) for label, target in gallery.links.items()},
        plots=[link(plot, path.parent) for plot in gallery.plots],
        shown=_shown,
        arrows=_ARROWS,
        better=_BETTER,
        mean_metrics=[m for m in gallery.metrics if m.better and any(m.key in mean for mean in gallery.means.values())],
        labels={metric.key: metric.label for metric in gallery.metrics},
        data=_data(gallery, path.parent),
    )


def _data(gallery: Gallery, folder: Path) -> dict[str, Any]:
    """What the scripts work on. What needs attention comes first."""
    videos = sorted(gallery.videos, key=lambda video: (_ORDER.index(video.status), video.name))
    return {
        "title": gallery.title,
        "variants": [dataclasses.asdict(variant) for variant in gallery.variants],
        "metrics": [{**dataclasses.asdict(metric), "arrow": _ARROWS[metric.better]} for metric in gallery.metrics],
        "videos": [_video(video, folder) for video in videos],
    }


def _video(video: GalleryVideo, folder: Path) -> dict[str, Any]:
    return {
        "name": video.name,
        "status": video.status,
        "phase": video.phase,
        "reason": video.reason,
        "thumbnail": _url(video.thumbnail, folder),
        "clips": [{"label": clip.label, **_played(clip.file, clip.playable, folder)} for clip in video.clips],
        "caption": video.caption,
        "captionSource": video.caption_source,
        "captionFlags": list(video.caption_flags),
        "captionFrame": _url(video.caption_frame, folder),
        "fps": video.fps,
        "frames": video.frames,
        "times": list(video.times),
        "notes": [_note(note, video) for note in each_once([*video.notes, *_notes_of_results(video)])],
        "results": [_result(result, folder) for result in video.results],
    }


def _notes_of_results(video: GalleryVideo) -> list[Note]:
    return [note for result in video.results for note in result.notes]


def _note(note: Note, video: GalleryVideo) -> dict[str, Any]:
    """A note with the variants that it is about, where it is not about all; files are the same for all."""
    own = [result for result in video.results if not result.same_as]
    about = [result.variant for result in own if note in result.notes]
    return {
        "text": note.text,
        "kind": note.kind,
        "variants": about if note.kind == "result" and len(about) < len(own) else [],
    }


def _played(file: Path | None, copy: Path | None, folder: Path) -> dict[str, str]:
    """What is played, and the file itself."""
    return {"url": _url(copy or file, folder), "file": _url(file, folder)}


def _result(result: VariantResult, folder: Path) -> dict[str, Any]:
    return {
        "variant": result.variant,
        "status": result.status,
        "reason": result.reason,
        **_played(result.result, result.playable if result.result else None, folder),
        "sameAs": result.same_as,
        "prompt": result.prompt,
        "anchor": _url(result.anchor, folder),
        "seconds": [[phase, duration(seconds)] for phase, seconds in result.seconds.items()],
        "totalSeconds": sum(result.seconds.values()),
        "memory": result.peak_memory_bytes,
        "values": {key: value for key, value in result.values.items() if math.isfinite(value)},  # JSON has no others
        "unavailable": {**_not_finite(result.values), **result.unavailable},
        "judgement": result.judgement,
        "notCarried": result.not_carried,
        "files": [[os.fspath(Path(*file.parts[-3:])), link(file, folder)] for file in result.files],
    }


def _not_finite(values: Mapping[str, float]) -> dict[str, str]:
    return {key: f"it came out as {value}" for key, value in values.items() if not math.isfinite(value)}


def _url(path: Path | None, folder: Path) -> str:
    return link(path, folder) if path is not None else ""


def _shown(value: float | None) -> str:
    """A number for people; the script shows others the same way."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
