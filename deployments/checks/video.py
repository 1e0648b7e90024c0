"""PyAV's codecs, proven by writing and reading three tiny frames; no ffmpeg program is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.checks.finding import Finding, fail, ok
from deployments.checks.job import Job

if TYPE_CHECKING:
    import numpy as np

_ADVICE = "install PyAV's own wheel, which carries its codecs: pip install --force-reinstall --no-deps av=={version}"
_CLOSE = 12.0  # gray levels by which H.264 may change smooth frames on average


def check_video(_job: Job) -> Iterator[Finding]:
    """H.264 and FFV1, there and back."""
    import av

    from lib.video.writer import write_clip, write_lossless

    advice = _ADVICE.format(version=av.__version__)
    yield there_and_back("H.264 (libx264)", "tiny.mp4", write_clip, advice)
    yield there_and_back("FFV1, lossless", "tiny.mkv", write_lossless, advice, most_off=0.0)


def there_and_back(
    what: str,
    name: str,
    write: Callable[[Path, list[np.ndarray], Fraction], object],
    advice: str,
    most_off: float = _CLOSE,
) -> Finding:
    """Write three frames, read them, compare."""
    import numpy as np

    from lib.video.clip import read_clip

    frames = tiny_frames()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        try:
            write(path, frames, Fraction(24))
            back = read_clip(path).frames
        except Exception as error:  # noqa: BLE001 - a missing codec shows in many ways
            return fail(what, f"{type(error).__name__}: {error}", advice)
    if back.shape != (len(frames), *frames[0].shape):
        return fail(what, f"wrote {len(frames)} frames of {frames[0].shape}, read {back.shape}", advice)
    off = float(np.abs(back.astype(np.int16) - np.stack(frames)).mean())
    if off > most_off:
        return fail(what, f"frames come back {off:.1f} gray levels off, at most {most_off:.1f} expected", advice)
    return ok(what, "writes and reads")


def tiny_frames() -> list[np.ndarray]:
    """Three (32, 48, 3) uint8 frames of a slope that moves."""
    import numpy as np

    slope = np.add.outer(np.arange(32) * 3, np.arange(48) * 2)
    return [np.repeat((slope + 8 * shift)[..., None], 3, axis=2).astype(np.uint8) for shift in range(3)]
