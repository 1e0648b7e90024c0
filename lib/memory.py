"""An estimate of the memory that a clip needs, so that a job too large is refused with numbers instead of killed."""

from pathlib import Path

from lib.errors import InputError
from lib.settings import Processing
from lib.video.clip import ClipInfo
from lib.video.sizes import fit_longer_side, processing_size

_BASE_BYTES = 400 * 2**20  # interpreter and libraries
_RGB = 3


def estimate_bytes(frame_count: int, source_hw: tuple[int, int], processing: Processing, work_copies: float) -> int:
    """Bytes for source, resized source, work frames and masks of one clip; what does not grow with it comes on top.

    Args:
        work_copies: as in `Remover.work_copies`.
    """
    result_hw = processing_size(source_hw, processing.height, processing.width)
    work_hw = fit_longer_side(result_hw, processing.max_img_size)
    source, result, work = (h * w for h, w in (source_hw, result_hw, work_hw))
    resized = result * _RGB if result_hw != source_hw else 0
    per_frame = source * (_RGB + 1) + resized + work * (_RGB * work_copies + 1)
    return _BASE_BYTES + int(frame_count * per_frame)


def check_memory(info: ClipInfo, processing: Processing, work_copies: float) -> None:
    """Refuse a clip that cannot fit into this machine's memory; `work_copies` as in `Remover.work_copies`.

    Raises:
        InputError: the estimate is above what is available; says both numbers and what to do.
    """
    frames = info.frame_count if processing.video_length == -1 else min(info.frame_count, processing.video_length)
    needed, available = estimate_bytes(frames, (info.height, info.width), processing, work_copies), available_bytes()
    if available is not None and needed > available:
        raise InputError(
            f"{info.path}: {frames} frames of {info.width}x{info.height} need about {needed / 2**30:.1f} GiB of memory "
            f"and {available / 2**30:.1f} GiB are free; cut the clip (--video_length), "
            "lower --max_img_size or --height/--width, or run fewer videos at a time (--max_workers)"
        )


def available_bytes() -> int | None:
    """Memory that new work can take on this Linux machine; None where the kernel does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(kib) * 1024 if kib else None
