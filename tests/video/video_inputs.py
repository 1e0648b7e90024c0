"""Small inputs made by code."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from PIL import Image


def moving_frames(count: int = 6, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth gradients that shift from frame to frame, so that order and duplicates show."""
    rows, columns = np.mgrid[:height, :width]
    frames = [
        np.stack([rows * 2 + 9 * t, columns * 2 + 5 * t, np.full_like(rows, 20 + 12 * t)], axis=-1)
        for t in range(count)
    ]
    return np.stack(frames).clip(0, 255).astype(np.uint8)


def box_masks(count: int, height: int, width: int) -> np.ndarray:
    masks = np.zeros((count, height, width), bool)
    for t in range(count):
        masks[t, 10:22, 12 + t : 28 + t] = True
    return masks


def save_frames(folder: Path, frames: np.ndarray, suffix: str = ".png", first: int = 0, digits: int = 5) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames, first):
        Image.fromarray(frame).save(folder / f"{index:0{digits}d}{suffix}")
    return folder


def save_palette(path: Path, indices: np.ndarray) -> Path:
    """An annotation as DAVIS has it: index 1 shows as a red of gray value 38."""
    image = Image.fromarray(indices.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def textured_frames(count: int = 60, height: int = 96, width: int = 128) -> np.ndarray:
    """Noise that moves: its packets are large, so that damage hits pictures."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width + 2 * count, 3), dtype=np.uint8)
    return np.stack([noise[:, 2 * t : 2 * t + width] for t in range(count)])


def write_video(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    *,
    rate: Fraction | int = 25,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    tick: Fraction = Fraction(1, 1000),
    matrix: Sequence[int] | None = None,
    tag: str = "",
    top_first: bool | None = None,
    **context: Any,
) -> Path:
    """A video without sound.

    Args:
        times: when each frame is shown, in ticks; None: at a constant rate.
        matrix: a, b, c, d of the display matrix: the pixel (p, q) is shown at (a p + c q, b p + d q).
        tag: four characters that name the codec in the file.
        top_first: mark frames as two fields each, by whether the top one comes first; None: as whole.
        context: properties of the encoder.
    """
    with av.open(path, "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        if tag:
            stream.codec_context.codec_tag = tag
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if times is not None:
            stream.codec_context.time_base = tick
        if matrix:
            a, b, c, d = (value * 65536 for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
            if top_first is not None:
                frame = filtered(frame, "setfield", "tff" if top_first else "bff")
                frame.pts, frame.time_base = index, 1 / Fraction(rate)
            if times is not None:
                frame.pts, frame.time_base = times[index], tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def filtered(frame: av.VideoFrame, *filter_and_arguments: str) -> av.VideoFrame | None:
    """What a filter makes of one frame; None where that is nothing."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    between, sink = graph.add(*filter_and_arguments), graph.add("buffersink")
    source.link_to(between)
    between.link_to(sink)
    graph.configure()
    graph.push(frame)
    try:
        return graph.pull()
    except av.error.BlockingIOError:
        return None


def field_orders(path: Path) -> set[str]:
    """How the decoded frames of a video are marked: PROGRESSIVE, TOPFIRST, BOTTOMFIRST."""
    kinds = ("PROGRESSIVE", "TOPFIRST", "BOTTOMFIRST")
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    return {kind for frame in frames for kind in kinds if filtered(frame, "select", rf"eq(interlace_type\,{kind})")}


def shown_times(path: Path) -> list[Fraction]:
    """Seconds at which each decoded frame is shown, on the file's own clock."""
    with av.open(path) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def write_with_audio(
    path: Path,
    frames: np.ndarray,
    fps: Fraction,
    codec: str = "aac",
    seconds: float = 2.0,
    video_codec: str = "mpeg4",
    tone_at: float = 0.0,
) -> Path:
    """A video with a 440 Hz tone that starts at `tone_at` seconds."""
    rate = 48000
    time = np.arange(int(seconds * rate)) / rate
    wave = (np.sin(2 * np.pi * 440 * time) * 12000 * (time >= tone_at)).astype(np.int16)
    with av.open(path, "w") as container:
        video = container.add_stream(video_codec, rate=fps)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="mono")
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode())
        sound = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = rate, 0, Fraction(1, rate)
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return path


def read_audio(path: Path) -> tuple[str, np.ndarray, int]:
    """Codec, (N,) float samples of the first channel, samples per second."""
    with av.open(path) as container:
        stream = container.streams.audio[0]
        to_float = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
        chunks = [part.to_ndarray()[0] for frame in container.decode(stream) for part in to_float.resample(frame)]
        return stream.codec_context.name, np.concatenate(chunks), stream.rate
