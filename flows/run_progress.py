"""What is known so far of every video of a run; shown on the terminal and as progress artifacts in Prefect's UI."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.logging import get_run_logger
from tqdm import tqdm

from flows.phases import Outcome
from flows.report import PhaseSummary, VideoSummary, note_line, summarise_video
from lib.metrics.definitions import METRICS
from tasks.progress import Progress
from tasks.result_jobs import EvaluateJob, JudgeJob, PlayableJob, PreviewJob

_FOR_THE_PAGE = (PreviewJob.phase, PlayableJob.phase)  # a video without them is no worse


class RunProgress:
    """Collects the outcomes; one line on the terminal for each as it comes."""

    def __init__(self) -> None:
        self._logger = get_run_logger()  # of the main run, also while a phase's own run is under way
        self._phases: dict[str, list[PhaseSummary]] = {}
        self._prompts: dict[str, str] = {}
        self._metrics: dict[str, dict[str, float]] = {}
        self._judgements: dict[str, str] = {}
        self._bar: tqdm[Any] | None = None
        self._artifact: Progress | None = None
        self._count = self._done = 0

    @contextmanager
    def phase(self, name: str, count: int) -> Iterator[None]:
        """A bar and an artifact while the phase runs over `count` videos."""
        self._count, self._done = count, 0
        self._artifact = Progress(f"{name}: 0 of {count} videos")
        with tqdm(total=count, desc=f"{name:<10}", unit="video", dynamic_ncols=True, disable=None) as bar:
            self._bar = bar
            try:
                yield
            finally:
                self._bar, self._artifact = None, None

    def note(self, video: str, phase: str, outcome: Outcome) -> None:
        """Add how a phase of a video ended."""
        if phase in _FOR_THE_PAGE and not outcome.succeeded:
            self.warn(f"{video}: the page cannot show all of it ({phase}: {outcome.reason})")
            return
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
        if record and phase == EvaluateJob.phase:
            self._metrics[video] = {key: float(value) for key, value in record.facts.items() if key in METRICS}
        if record and phase == JudgeJob.phase:
            self._judgements[video] = str(record.facts["summary"])
        self._show(video, summary)

    def has_failed(self, video: str) -> bool:
        return any(phase.status == "failed" for phase in self._phases.get(video, []))

    def say(self, text: str) -> None:
        """Say something that a person wants to know, on the terminal and in the UI."""
        tqdm.write(text)
        self._logger.info("%s", text)

    def warn(self, text: str) -> None:
        """Say something that holds for the whole run."""
        tqdm.write(f"warning: {text}")
        self._logger.warning("%s", text)

    def videos(self) -> list[VideoSummary]:
        return [
            summarise_video(
                name,
                phases,
                self._prompts.get(name, ""),
                self._metrics.get(name, {}),
                self._judgements.get(name, ""),
            )
            for name, phases in self._phases.items()
        ]

    def _show(self, video: str, summary: PhaseSummary) -> None:
        timing = f" in {summary.seconds:.1f} s" if summary.status == "done" else ""
        reason = f": {summary.reason}" if summary.reason else ""
        lines = [f"{summary.phase:<10} {video} {summary.status}{timing}{reason}"]
        lines += [f"{'':<10} {video} {note_line(note)}" for note in summary.notes if summary.status == "done"]
        tqdm.write("\n".join(lines))
        for line in lines:
            self._logger.info("%s", line)  # for the UI
        if self._bar is not None and self._artifact is not None:
            self._bar.update()
            self._done += 1
            text = f"{summary.phase}: {self._done} of {self._count} videos"
            self._artifact(self._done / self._count, text)
