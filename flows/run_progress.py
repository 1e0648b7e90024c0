"""What is known so far of every video of a run; shown on the terminal and as progress artifacts in Prefect's UI."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from tqdm import tqdm

from flows.phases import Outcome
from flows.report import PhaseSummary, VideoSummary, summarise_video


class RunProgress:
    """Collects the outcomes; one line on the terminal for each as it comes."""

    def __init__(self) -> None:
        self._phases: dict[str, list[PhaseSummary]] = {}
        self._prompts: dict[str, str] = {}
        self._bar: tqdm[None] | None = None
        self._artifact: UUID | None = None

    @contextmanager
    def phase(self, name: str, count: int) -> Iterator[None]:
        """A bar and an artifact while the phase runs over `count` videos."""
        self._artifact = create_progress_artifact(progress=0.0, description=f"{name}: 0 of {count} videos")
        with tqdm(total=count, desc=f"{name:<10}", unit="video", dynamic_ncols=True, disable=None) as self._bar:
            try:
                yield
            finally:
                self._bar, self._artifact = None, None

    def note(self, video: str, phase: str, outcome: Outcome) -> None:
        """Add how a phase of a video ended."""
        record = outcome.record
        summary = PhaseSummary(
            phase=phase,
            status=outcome.status,
            reason=outcome.reason,
            seconds=record.seconds if record else 0.0,
            paths=tuple(artifact.path for artifact in record.artifacts) if record else (),
            notes=record.notes if record else (),
        )
        self._phases.setdefault(video, []).append(summary)
        if record and "prompt" in record.facts:
            self._prompts[video] = str(record.facts["prompt"])
        self._show(video, summary)

    def failed(self, video: str) -> bool:
        return any(phase.status == "failed" for phase in self._phases.get(video, []))

    def videos(self) -> list[VideoSummary]:
        return [summarise_video(name, phases, self._prompts.get(name, "")) for name, phases in self._phases.items()]

    def _show(self, video: str, summary: PhaseSummary) -> None:
        timing = f" in {summary.seconds:.1f} s" if summary.status == "done" else ""
        reason = f": {summary.reason}" if summary.reason else ""
        lines = [f"{summary.phase:<10} {video} {summary.status}{timing}{reason}"]
        lines += [f"{'':<10} {video} note: {note}" for note in summary.notes if summary.status == "done"]
        tqdm.write("\n".join(lines))
        if self._bar is not None and self._artifact is not None:
            self._bar.update()
            share = 100.0 * self._bar.n / self._bar.total
            update_progress_artifact(
                artifact_id=self._artifact,
                progress=round(share, 1),
                description=f"{summary.phase}: {self._bar.n} of {self._bar.total} videos",
            )


def succeeded(outcomes: dict[str, Outcome], names: Sequence[str]) -> list[str]:
    """The names whose phase ended well, in order."""
    return [name for name in names if name in outcomes and outcomes[name].succeeded]
