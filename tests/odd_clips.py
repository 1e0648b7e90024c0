"""Small clips of the kinds that users really have, made by code: good ones, odd ones and broken ones."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from PIL import Image
from tests_support import moving_square

from lib.video.fields import with_fields

SIZE, FRAMES, RATE = (64, 96), 12, 24  # (H, W)
MILLISECOND = Fraction(1, 1000)
HLG, PQ = (9, 18, 9), (9, 16, 9)  # matrix, transfer, primaries


def picture(index: int = 0, seed: int = 1) -> np.ndarray:
    """Frame `index` of the clip that all of these show, (H, W, 3) uint8 RGB."""
    return moving_square(seed, FRAMES, *SIZE)[0][index]


def write_video(
    path: Path,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    seed: int = 1,
    options: dict[str, str] | None = None,
    milliseconds: Sequence[int] | None = None,
    rate: int = RATE,
    tags: tuple[int, int, int] | None = None,
    sample_aspect: Fraction | None = None,
    field_order: int | None = None,
    matrix: tuple[int, int, int, int] | None = None,
    frames: np.ndarray | None = None,
) -> Path:
    """A bright square that moves over a textured background.

    Args:
        milliseconds: when each frame is shown, for a variable rate.
        tags: matrix, transfer and primaries, numbers of H.273.
        field_order: FFmpeg's: 2 top field first, 3 bottom field first.
        matrix: a, b, c, d of the display matrix, in units of 1.
        frames: show these (T, H, W, 3) instead.
    """
    frames = moving_square(seed, FRAMES, *SIZE)[0] if frames is None else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=rate, options=options or {}))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        _describe(stream, tags, sample_aspect, field_order, matrix)
        if milliseconds:
            stream.codec_context.time_base = MILLISECOND
        for index, frame in enumerate(frames):
            to: dict[str, Any] = {"dst_colorspace": tags[0]} if tags else {}
            image = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixel_format, **to)
            if field_order:
                image = next(with_fields([image], top_first=field_order == 2))
            image.pts = milliseconds[index] if milliseconds else index
            image.time_base = MILLISECOND if milliseconds else Fraction(1, rate)
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    return path


def _describe(
    stream: av.VideoStream,
    tags: tuple[int, int, int] | None,
    sample_aspect: Fraction | None,
    field_order: int | None,
    matrix: tuple[int, int, int, int] | None,
) -> None:
    context = stream.codec_context
    if tags:
        context.colorspace, context.color_trc, context.color_primaries = tags
        context.color_range = 1
    if sample_aspect:
        context.sample_aspect_ratio = sample_aspect
    if field_order:
        context.field_order = field_order
    if matrix:
        a, b, c, d = (value << 16 for value in matrix)
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])


def write_masks(
    folder: Path, *, numbers: Sequence[int] | None = None, seed: int = 1, invert: bool = False, stem: str = ""
) -> Path:
    """The square's masks as gray PNG files.

    Args:
        numbers: only these frames have one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    masks = moving_square(seed, FRAMES, *SIZE)[1]
    for number in range(FRAMES) if numbers is None else numbers:
        mask = masks[min(number, FRAMES - 1)]
        Image.fromarray(255 - mask if invert else mask).save(folder / f"{stem}{number:05d}.png")
    return folder


def cut(path: Path, share: float) -> Path:
    """The file without its last part."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def patch(path: Path, old: bytes, new: bytes) -> Path:
    """The file with other bytes in place of some of its own."""
    content = path.read_bytes()
    assert len(old) == len(new) and old in content, (old, path)
    path.write_bytes(content.replace(old, new))
    return path
