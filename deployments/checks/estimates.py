"""About how much memory of a GPU a job takes, from what was measured."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from deployments.checks.finding import GIB
from deployments.checks.job import Job
from lib.errors import InputError

# Measured on an H100 with torch 2.11, fp16, full-size networks with random weights (benchmarks/diffueraser.py,
# benchmarks/prior.py, benchmarks/captions.py). Lengths of clips play no part: 300 and 3000 frames take the same.
ERASER_WEIGHTS = 4.5  # GiB: UNet, BrushNet, autoencoder and text encoder
ERASER_WORK = 1.8  # what denoising and coding take besides, at
ERASER_PIXELS = 720 * 360
PRIOR_WEIGHTS = 0.2
PRIOR_WORK = 5.8  # allocated, with the default windows, at
PRIOR_PIXELS = 640 * 360
PRIOR_LONGEST_SIDE = 960  # ProPainter works no larger
ANCHOR_WEIGHTS = 2.0  # the inpainting model of the anchor picture
CAPTION_WEIGHTS = 15.5  # Qwen2.5-VL-7B in bfloat16
CAPTION_WORK = 0.5
LONGEST_SIDE = 1280  # the default of --max_img_size


@dataclass(frozen=True)
class Need:
    """Bytes of GPU memory."""

    what: str
    least: float  # the networks alone: with less nothing goes
    about: float  # with their work; beyond the sizes that were measured it grows with the pixels, which is a guess


def gpu_needs(job: Job) -> list[Need]:
    """What a job holds on each GPU, one after the other: a phase's processes end before the next phase begins."""
    needs = [_removal(job)] if job.uses_networks else []
    return needs + ([_captions(job)] if job.captions_by_model else [])


def _removal(job: Job) -> Need:
    prior = PRIOR_WORK * max(1.0, _pixels(job, PRIOR_LONGEST_SIDE) / PRIOR_PIXELS)
    what = f"removal at {job.size}"
    if job.engine == "propainter":
        return Need(what, PRIOR_WEIGHTS * GIB, (PRIOR_WEIGHTS + prior) * GIB)
    eraser = ERASER_WORK * max(1.0, _pixels(job, LONGEST_SIDE) / ERASER_PIXELS)
    weights = ERASER_WEIGHTS + ANCHOR_WEIGHTS + PRIOR_WEIGHTS
    if job.offload:  # the networks at work only; the largest is the UNet, more than half of the eraser's
        largest = 0.6 * ERASER_WEIGHTS
        return Need(what, largest * GIB, max(ERASER_WEIGHTS + eraser, PRIOR_WEIGHTS + prior) * GIB)
    return Need(what, weights * GIB, (weights + max(eraser, prior)) * GIB)


def _captions(job: Job) -> Need:
    weights = CAPTION_WEIGHTS * GIB
    with contextlib.suppress(InputError, OSError, ImportError):  # the check of the captioner says so
        weights = _model_bytes(job) or weights
    return Need("captions", weights, weights + CAPTION_WORK * GIB)


def _model_bytes(job: Job) -> float:
    """Of the caption model that is there: as quantised, else two bytes a number."""
    from deployments.checks.weights import caption_model
    from lib.captioner.model.files import find_model

    files = find_model(caption_model(job))
    return files.weight_bytes if files.quantisation else 2 * files.numbers


def _pixels(job: Job, longest_side: int) -> float:
    """Of a frame as it is worked on."""
    scale = min(1.0, longest_side / max(job.width, job.height))
    return job.width * job.height * scale**2


def folder_bytes(folder: Path) -> int:
    """What the files below a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
