"""The captioner's pictures, read from a video and its masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib.captioner.backend import CaptionPicture
from lib.captioner.caption_job import CaptionJob
from lib.captioner.frames import caption_frame_indices, gray_out, hole_in_frame
from lib.errors import InputError
from lib.video.clip import FRAME_SUFFIXES, iter_frames, probe_clip, read_clip_frame
from lib.video.masks import read_masks


def read_from_video(job: CaptionJob) -> tuple[CaptionPicture, ...]:
    """The frames that the job's strategy picks, the object hidden in gray.

    Raises:
        InputError: video or masks are missing, unreadable or empty.
    """
    video, masks = Path(job.video_path), Path(job.mask_path)
    for path in (video, masks):
        if not path.exists():
            raise InputError(f"{path}: not found; expected a video, a folder of frames or a picture")
    count = captionable_frames(video, masks, job.video_length)
    indices = caption_frame_indices(count, job.frame_strategy, job.num_sample_frames)
    found = read_mask_frames(masks, indices, count, job.mask_threshold, job.object_ids)
    pictures = []
    for index, mask in zip(indices, found, strict=True):
        frame = read_frame(video, index)
        hole = hole_in_frame(mask, frame.shape[:2], job.mask_dilation_iter)
        pictures.append(CaptionPicture(gray_out(frame, hole), hole, index))
    return tuple(pictures)


def is_picture(path: Path) -> bool:
    """Whether the path is a single picture file."""
    return path.is_file() and path.suffix.lower() in FRAME_SUFFIXES


def read_picture(path: Path) -> np.ndarray:
    """A picture file as (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: picture cannot be read ({error}); expected a JPEG or PNG file") from None


def count_frames(path: Path) -> int:
    """Number of frames of a video, frame folder or picture (1)."""
    if is_picture(path):
        return 1
    count = probe_clip(path).frame_count
    return count if count is not None else sum(1 for _ in iter_frames(path))


def read_frame(path: Path, index: int) -> np.ndarray:
    """Frame `index` (clamped to the last) of a video, frame folder or picture, (H, W, 3) uint8 RGB."""
    return read_picture(path) if is_picture(path) else read_clip_frame(path, index)


def captionable_frames(video: Path, masks: Path, video_length: int) -> int:
    """N of the frame choice: the smaller of video frames and mask frames; one lone mask holds for all frames."""
    frames = count_frames(video)
    if video_length > 0:
        frames = min(frames, video_length)
    mask_frames = count_frames(masks)
    return frames if mask_frames == 1 else min(frames, mask_frames)


def read_mask_frames(
    path: Path, indices: Sequence[int], frame_count: int, threshold: int | None, object_ids: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """The (h, w) bool masks of the given frames at the masks' own size.

    Raises:
        InputError: no mask, an unreadable one, or all of them empty.
    """
    track = read_masks(path, frame_count, _own_size(path), threshold=threshold, object_ids=object_ids)
    return tuple(track.masks[index] for index in indices)


def _own_size(path: Path) -> tuple[int, int]:
    if is_picture(path):
        height, width = read_picture(path).shape[:2]
        return height, width
    info = probe_clip(path)
    return info.height, info.width
