"""A page for each run: what became of every video, with a picture before and after, for a person who was asleep.

The page is one file: pictures and style are in it, and it runs no script. Only its links need the output folder.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lib.notes import Note
from lib.records import Status
from lib.report.clip_frames import before_and_after
from lib.report.notes import each_once
from lib.report.page import link, write_page

_ORDER: tuple[Status, ...] = ("failed", "skipped", "done", "cached")
_THREADS = 4  # each holds a decoder


@dataclass(frozen=True)
class RunRow:
    """One video of the run."""

    name: str
    status: Status
    phase: str = ""  # the last one, or the one that failed
    reason: str = ""
    seconds: float = 0.0
    prompt: str = ""
    notes: tuple[Note, ...] = ()  # each is shown once
    source: Path | None = None  # a video file or a folder of frames
    result: Path | None = None  # a video file
    files: tuple[Path, ...] = ()  # all that was made


@dataclass(frozen=True)
class LeftRow:
    """Something that the run left alone, and why."""

    name: str
    kind: str
    reason: str


@dataclass(frozen=True)
class RunPage:
    """What a run has to tell."""

    title: str
    finished_at: datetime  # with its time zone
    seconds: float
    rows: Sequence[RunRow]
    left: Sequence[LeftRow] = ()
    settings: Mapping[str, str] = field(default_factory=dict)  # those that are not the defaults, by flag
    links: Mapping[str, Path] = field(default_factory=dict)  # label -> file or folder
    remarks: Sequence[str] = ()


def write_run_page(page: RunPage, path: Path) -> Path:
    """Write the page in one step, what failed at the top; links are relative to the folder of `path`."""
    rows = sorted(page.rows, key=lambda row: (_ORDER.index(row.status), row.name))
    with ThreadPoolExecutor(_THREADS) as pool:
        pictures = list(pool.map(lambda row: before_and_after(row.source, row.result), rows))
    counts = Counter(row.status for row in rows)
    began = page.finished_at - timedelta(seconds=page.seconds)
    return write_page(
        path,
        "run_page.html.j2",
        page=page,
        began=f"{began:%Y-%m-%d %H:%M}",
        ended=f"{page.finished_at:%Y-%m-%d %H:%M %Z}",
        took=duration(page.seconds),
        counts={status: counts[status] for status in _ORDER if counts[status]},
        rows=[_shown(row, images, path.parent) for row, images in zip(rows, pictures, strict=True)],
        links={label: link(target, path.parent) for label, target in page.links.items()},
    )


def _shown(row: RunRow, images: tuple[str, str], folder: Path) -> dict[str, Any]:
    """What the template shows of a row."""
    before, after = images
    return {
        "row": row,
        "before": before,
        "after": after,
        "source_link": link(row.source, folder) if row.source else "",
        "result_link": link(row.result, folder) if row.result else "",
        "took": duration(row.seconds) if row.seconds else "",
        "notes": each_once(row.notes),
        "files": [(os.fspath(Path(*file.parts[-3:])), link(file, folder)) for file in row.files],
    }


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
