"""The anchor picture of a removal, kept: variants with the same frame, hole and words share it."""

import hashlib
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from prefect import task

from lib.anchor.base import AnchorInpainter
from lib.records import PhaseRecord
from tasks.caching import bind, run_nested, worth_retrying
from tasks.jobs import AnchorJob, GuidedJob
from tasks.recording import record_of


class AnchorStep(AnchorInpainter):
    """An anchor whose picture comes from the file that is there, or is painted now and then kept."""

    def __init__(self, removal: GuidedJob, painter: AnchorInpainter) -> None:
        self._removal, self._painter = removal, painter
        self.name, self.uses_prompt = painter.name, painter.uses_prompt

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self._painter.notes

    def for_video(self, video_name: str) -> "AnchorStep":
        return AnchorStep(self._removal, self._painter.for_video(video_name))

    def with_prior(self, prior_frame: np.ndarray) -> "AnchorStep":
        return AnchorStep(self._removal, self._painter.with_prior(prior_frame))

    def fingerprint(self) -> dict[str, str]:
        return self._painter.fingerprint()

    def inpaint(
        self, frame: Image.Image, mask: Image.Image, prompt: str | None = None, n_prompt: str | None = None
    ) -> Image.Image:
        """As in `AnchorInpainter`."""
        job = AnchorJob(
            video=self._removal.video,
            output_dir=self._removal.output_dir,
            anchor_fingerprint=self.fingerprint(),
            frame_sha256=_pixel_hash(frame),
            mask_sha256=_pixel_hash(mask),
            prompt=prompt or "",
            n_prompt=n_prompt or "",
        )
        paint = _Painting(lambda: self._painter.inpaint(frame, mask, prompt, n_prompt))
        record = run_nested(bind(anchor, job.output_dir), job, paint)
        if paint.picture is not None:
            return paint.picture
        with Image.open(job.output_dir / record.artifacts[0].path) as kept:
            return kept.convert("RGB")


class _Painting:
    """What the task is given besides its job: how to paint. It keeps the picture for the caller."""

    def __init__(self, paint: Callable[[], Image.Image]) -> None:
        self._paint = paint
        self.picture: Image.Image | None = None

    def __call__(self) -> Image.Image:
        self.picture = self._paint().convert("RGB")
        return self.picture


@task(
    name="anchor",
    task_run_name="anchor-{job.video.name}",
    persist_result=True,
    result_serializer="json",
    retry_condition_fn=worth_retrying,
)
def anchor(job: AnchorJob, paint: _Painting) -> PhaseRecord:
    """Write `anchors/<name>/<key>.png`."""
    start = time.monotonic()
    picture = paint()
    job.path.parent.mkdir(parents=True, exist_ok=True)
    draft = job.path.with_name(f".{job.path.name}")
    picture.save(draft, format="PNG")
    draft.replace(job.path)
    return record_of(job, [job.path], since=start)


def _pixel_hash(picture: Image.Image) -> str:
    return hashlib.sha256(f"{picture.mode} {picture.size} ".encode() + picture.tobytes()).hexdigest()
