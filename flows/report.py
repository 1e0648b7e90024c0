"""What a run says at its end: summary.json, a table in Prefect's UI, a table on the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lib.notes import Note
from lib.provenance import software_versions, write_json
from lib.records import Notes, Status
from lib.report.notes import each_once
from lib.settings import AutoRefineSettings, RemoveSettings, RunSettings
from lib.settings.study import StudySettings

SUMMARY_FILE = "summary.json"


class PhaseSummary(BaseModel):
    """How one phase of one video ended."""

    model_config = ConfigDict(frozen=True)

    phase: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    paths: tuple[str, ...] = ()  # relative to the output directory
    notes: Notes = ()


class VideoSummary(BaseModel):
    """One row of summary.json. `phase` is the last one that ran, or the one that failed."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: Status
    phase: str = ""
    reason: str = ""
    paths: tuple[str, ...] = ()
    seconds: float = 0.0
    metrics: dict[str, float] = {}
    prompt: str = ""
    judgement: str = ""  # what a model says of the result: an opinion
    phases: tuple[PhaseSummary, ...] = ()

    @property
    def notes(self) -> tuple[Note, ...]:
        """All that its phases tell, each note once, those about the files first."""
        return each_once(note for phase in self.phases for note in phase.notes)


class Summary(BaseModel):
    """The content of summary.json."""

    schema_version: int = 1
    finished_at: str
    seconds: float
    flow_run: str
    counts: dict[str, int]
    metrics: dict[str, float] = {}  # means over the videos, and what only a data set has
    videos: tuple[VideoSummary, ...]
    settings: StudySettings | AutoRefineSettings | RemoveSettings
    versions: dict[str, str]

    def names(self, status: Status) -> list[str]:
        return [video.name for video in self.videos if video.status == status]


def summarise_video(
    name: str,
    phases: Sequence[PhaseSummary],
    prompt: str = "",
    metrics: Mapping[str, float] | None = None,
    judgement: str = "",
) -> VideoSummary:
    """Failed if a phase failed, cached if all were, else done."""
    last = next((phase for phase in phases if phase.status in ("failed", "skipped")), phases[-1])
    status: Status = last.status if last.status in ("failed", "skipped") else "done"
    if status == "done" and all(phase.status == "cached" for phase in phases):
        status = "cached"
    return VideoSummary(
        name=name,
        status=status,
        phase=last.phase,
        reason=last.reason,
        paths=tuple(path for phase in phases for path in phase.paths),
        seconds=round(sum(phase.seconds for phase in phases if phase.status == "done"), 3),
        metrics=dict(metrics or {}),
        prompt=prompt,
        judgement=judgement,
        phases=tuple(phases),
    )


def summarise_failure(name: str, phase: str, reason: str) -> VideoSummary:
    """A video that failed before any phase could tell of it."""
    return summarise_video(name, [PhaseSummary(phase=phase, status="failed", reason=reason)])


def summarise_skip(name: str, reason: str) -> VideoSummary:
    """A video that is not complete."""
    return summarise_video(name, [PhaseSummary(phase="scan", status="skipped", reason=reason)])


def summarise(videos: Iterable[VideoSummary], settings: RunSettings, seconds: float, flow_run: str) -> Summary:
    rows = tuple(sorted(videos, key=lambda video: video.name))
    counts = {status: sum(row.status == status for row in rows) for status in ("done", "cached", "failed", "skipped")}
    return Summary(
        finished_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        flow_run=flow_run,
        counts=counts,
        videos=rows,
        settings=settings,  # type: ignore[arg-type] (one of the three)
        versions=software_versions(),
    )


def write_summary(summary: Summary, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_json(path, summary.model_dump(mode="json"))


def table_rows(summary: Summary) -> list[dict[str, str]]:
    """One row a video, for the artifact in the UI."""
    return [
        {
            "video": video.name,
            "status": video.status,
            "phase": video.phase,
            "reason": video.reason,
            "seconds": f"{video.seconds:.1f}",
            "prompt": video.prompt,
            "notes": "; ".join(map(note_line, video.notes)),
        }
        for video in summary.videos
    ]


def note_line(note: Note) -> str:
    """A note on one line, with its kind."""
    return f"note (input): {note.text}" if note.kind == "input" else f"note: {note.text}"


def text_table(summary: Summary) -> str:
    """The same for the terminal: a line a video, the reason behind it, the notes below."""
    width = max((len(video.name) for video in summary.videos), default=0)
    lines: list[str] = []
    for video in summary.videos:
        lines.append(f"  {video.name:<{width}}  {video.status:<7}  {video.phase}: {video.reason}".rstrip(": "))
        lines += [f"  {'':<{width}}  {note_line(note)}" for note in video.notes]
    counts = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if count)
    return "\n".join([*lines, f"{counts or 'no videos'} in {summary.seconds:.0f} s"])
