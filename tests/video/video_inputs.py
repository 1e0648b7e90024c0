"""Small inputs made by code."""

from fractions import Fraction
from pathlib import Path

import av
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
