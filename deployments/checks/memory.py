"""The machine's memory against what a clip takes there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deployments.checks.estimates import gpu_needs
from deployments.checks.finding import Finding, fail, gib, ok, warn
from deployments.checks.gpu import collect, look_at_driver
from deployments.checks.job import Job
from lib.memory import available_bytes, estimate_bytes

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNLIMITED = 2**60
_FEWER = "cut the clip (--video_length), lower --max_img_size or --height/--width, or take fewer videos at a time"


def check_memory(job: Job) -> Iterator[Finding]:
    """What is free, and what a container allows."""
    gpus = len(collect(look_at_driver(job.env.get("CUDA_VISIBLE_DEVICES"))).gpus) if job.uses_networks else 0
    needed = clip_bytes(job, on_gpu=gpus > 0) * max(1, gpus)
    at_a_time = f"{gpus} clips at a time, one a GPU," if gpus > 1 else "the clip"
    wanted = f"{at_a_time} of {job.frames} frames of {job.size} takes about {gib(needed)}"
    available, limit = available_bytes(), container_limit()
    if available is None:
        yield warn("memory", f"the kernel does not say what is free; {wanted}", "see `free -h`")
    else:
        yield judge_memory("memory", available, needed, wanted)
    if limit is not None:
        yield judge_memory("memory limit of the container", limit, needed, wanted)


def clip_bytes(job: Job, *, on_gpu: bool) -> int:
    """What one clip takes, and the networks' weights (in float32) where no GPU holds them."""
    from lib.settings import Processing

    held = estimate_bytes(job.frames, (job.height, job.width), Processing(), work_copies(job.engine))
    return held + int(2 * gpu_needs(job)[0].least if job.uses_networks and not on_gpu else 0)


def work_copies(engine: str) -> float:
    """As the engine says."""
    from lib.removers.diffueraser import DiffuEraserRemover
    from lib.removers.propagation import PropagationRemover
    from lib.removers.propainter import PropainterRemover

    engines = (DiffuEraserRemover, PropainterRemover, PropagationRemover)
    return next(remover.work_copies for remover in engines if remover.name == engine)


def judge_memory(what: str, free: int, needed: int, wanted: str) -> Finding:
    """Free bytes against needed ones."""
    if free < needed:
        return fail(what, f"{gib(free)} free; {wanted}", _FEWER)
    return ok(what, f"{gib(free)} free; {wanted}")


def container_limit() -> int | None:
    """Bytes that the control group allows; None without a limit."""
    for path in _LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() and int(text) < _UNLIMITED else None
    return None
