"""Jobs that work, die, hang or lose their GPU as they are told; importable by the processes of a lane."""

import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from lib.removers.gpu import GpuLostError
from lib.runtime.slots import current_gpu
from lib.video.datasets import Video
from tasks.jobs import Job


class ProbeJob(Job):
    phase: ClassVar[str] = "probe"
    code_version: ClassVar[str] = "1"

    dies_on: tuple[int, ...] = ()  # GPUs on which its process is killed
    loses: tuple[int, ...] = ()  # GPUs that it finds lost
    seconds: float = 0.0

    def identity(self) -> dict[str, Any]:
        return {}


def probe_job(folder: Path, name: str, **behaviour: Any) -> ProbeJob:
    video = Video(name=name, video_path=folder / name, mask_path=folder / name)
    return ProbeJob(video=video, output_dir=folder, **behaviour)


@task(persist_result=False, cache_policy=NO_CACHE)
def probe(job: ProbeJob) -> int:
    """Say on which GPU it ran; every try leaves a line."""
    gpu = current_gpu() or 0
    with (job.output_dir / "tries").open("a") as file:
        file.write(f"{job.video.name} {gpu} {os.getpid()}\n")
    if gpu in job.dies_on:
        os.kill(os.getpid(), signal.SIGKILL)
    if gpu in job.loses:
        raise GpuLostError(f"GPU {gpu} was lost (CUDA error: unspecified launch failure)")
    time.sleep(job.seconds)
    return gpu


def tries(folder: Path) -> list[tuple[str, int, int]]:
    """Video, GPU and process id of every try so far."""
    path = folder / "tries"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(name, int(gpu), int(pid)) for name, gpu, pid in (line.split() for line in lines)]
