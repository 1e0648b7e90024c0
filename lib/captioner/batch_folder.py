"""A batch of jobs on disk: the main environment writes the jobs, the caption environment appends what happened.

Lines are appended as it goes, so a crash loses nothing: the video that had begun without ending is the one that did it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.captioner.backend import CaptionerOptions
from lib.captioner.judge_job import PoolJob, job_from_dict


@dataclass(frozen=True)
class BatchFolder:
    """`batch.json` (captioner and jobs) and `outcomes.jsonl` (a line when a video begins, one when it has ended)."""

    path: Path

    def write(self, options: CaptionerOptions, jobs: Iterable[PoolJob]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"captioner": options.to_dict(), "jobs": [job.to_dict() for job in jobs]}
        (self.path / "batch.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    def read(self) -> tuple[CaptionerOptions, list[PoolJob]]:
        content = json.loads((self.path / "batch.json").read_text(encoding="utf-8"))
        return CaptionerOptions.from_dict(content["captioner"]), [job_from_dict(job) for job in content["jobs"]]

    def note_begin(self, name: str) -> None:
        self._append({"name": name, "begins": True})

    def note_record(self, name: str, record: dict[str, Any]) -> None:
        self._append({"name": name, "record": record})

    def note_error(self, name: str, error: str) -> None:
        self._append({"name": name, "error": error})

    def ended(self) -> dict[str, dict[str, Any]]:
        """Name -> {"record": …} or {"error": …} of every video that has ended."""
        return {line["name"]: line for line in self._lines() if "begins" not in line}

    def interrupted(self) -> str | None:
        """The video that had begun when the process died."""
        ended = self.ended()
        return next((line["name"] for line in self._lines() if line["name"] not in ended), None)

    def progress(self) -> int:
        """A number that grows with every line, as long as there is life in the batch."""
        try:
            return (self.path / "outcomes.jsonl").stat().st_size
        except FileNotFoundError:
            return 0

    def _append(self, line: dict[str, Any]) -> None:
        with (self.path / "outcomes.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _lines(self) -> list[dict[str, Any]]:
        try:
            text = (self.path / "outcomes.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        whole = text[: text.rfind("\n") + 1]  # a crash may have cut the last line
        return [json.loads(line) for line in whole.splitlines()]
