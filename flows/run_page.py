"""The page of a run (`lib/report/run_page.py`), made of its summary."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flows.captions import SHEET_FILE
from flows.inputs import find_videos
from flows.report import Summary, VideoSummary
from lib.errors import InputError, attempt
from lib.report.run_page import LeftRow, RunPage, RunRow, write_run_page
from lib.settings import AutoRefineSettings, RunSettings
from lib.video.datasets import Video


def write_page_of(
    summary: Summary, path: Path, title: str, *, left: Iterable[LeftRow] = (), remarks: Iterable[str] = ()
) -> Path:
    """Write a run's page.

    Args:
        left: what the run has left alone.
        remarks: sentences for the head of the page.
    """
    settings = summary.settings
    sources = _sources(settings)
    page = RunPage(
        title=title,
        finished_at=local_time(datetime.fromisoformat(summary.finished_at)),
        seconds=summary.seconds,
        rows=[_row(video, settings, sources.get(video.name)) for video in summary.videos],
        left=list(left),
        settings=changed_settings(settings),
        links=_links(settings.output_dir),
        remarks=list(remarks),
    )
    return write_run_page(page, path)


def result_file(settings: RunSettings, name: str) -> Path:
    """Where a video's result lies, relative to the output directory."""
    folder = Path("final", name) if isinstance(settings, AutoRefineSettings) else Path(name)
    return folder / f"{settings.engine.engine}.mp4"


def local_time(moment: datetime | None = None) -> datetime:
    """A moment (now, if none is given) in the time zone of the box: its schedules', else its clock's."""
    zone = os.environ.get("AUTO_REFINE_TIMEZONE")
    return (moment or datetime.now(timezone.utc)).astimezone(ZoneInfo(zone) if zone else None)


def changed_settings(settings: RunSettings) -> dict[str, str]:
    """What differs from the defaults, by flag."""
    groups = settings.model_dump(mode="json", exclude_defaults=True)
    return {f"--{flag}": _shown(value) for group in groups.values() for flag, value in group.items()}


def _row(video: VideoSummary, settings: RunSettings, source: Video | None) -> RunRow:
    output_dir = settings.output_dir
    result = output_dir / result_file(settings, video.name)
    made = any(phase.phase in ("refine", "remove") and phase.status in ("done", "cached") for phase in video.phases)
    return RunRow(
        name=video.name,
        status=video.status,
        phase=video.phase if video.reason else "",
        reason=video.reason,
        seconds=video.seconds,
        prompt=video.prompt,
        notes=video.notes,
        source=source.video_path if source else None,
        result=result if made and result.is_file() else None,
        files=tuple(output_dir / path for path in video.paths),
    )


def _sources(settings: RunSettings) -> Mapping[str, Video]:
    scan = attempt(lambda: find_videos(settings), settings.output_dir)
    if isinstance(scan, InputError):  # moved away since: the page does without
        return {}
    return {video.name: video for video in scan.videos}


def _links(output_dir: Path) -> dict[str, Path]:
    links = {"result folder": output_dir, "captions of the last run": output_dir / SHEET_FILE}
    return {label: path for label, path in links.items() if path.exists()}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "on" if value is True else "off" if value is False else str(value)
