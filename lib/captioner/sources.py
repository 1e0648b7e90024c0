"""The captioner's pictures, read from a video and its masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib.captioner.backend import CaptionPicture
from lib.captioner.caption_job import CaptionJob
from lib.captioner.frames import caption_frame_indices, crop_around, gray_out, hole_in_frame, resize_nearest
from lib.errors import InputError
from lib.video.clip import FRAME_SUFFIXES, frame_names, iter_frames, probe_clip, read_clip_frame
from lib.video.images import list_folder, list_images
from lib.video.masks import read_masks


def read_from_video(job: CaptionJob) -> tuple[CaptionPicture, ...]:
    """The frames that the job's strategy picks, the object hidden in gray.

    Raises:
        InputError: video or masks are missing, unreadable or empty.
    """
    video = Path(job.video_path)
    masks = _read_masks(job, video)
    captionable = captionable_frames(len(masks), Path(job.mask_path))
    pictures = []
    for index in caption_frame_indices(captionable, job.frame_strategy, job.num_sample_frames):
        frame = read_frame(video, index)
        hole = hole_in_frame(masks[index], frame.shape[:2], job.mask_dilation_iter)
        pictures.append(CaptionPicture(gray_out(frame, hole), hole, index))
    return tuple(pictures)


def read_object(job: CaptionJob) -> np.ndarray:
    """The object and a rim of its surroundings, (h, w, 3) uint8 RGB, from the frame where its mask is largest.

    Raises:
        InputError: as `read_from_video`, of `object_video`.
    """
    video = Path(job.object_video)
    masks = _read_masks(job, video)
    index = int(masks.sum(axis=(1, 2)).argmax())
    frame = read_frame(video, index)
    return crop_around(frame, resize_nearest(masks[index], frame.shape[:2]))


def _read_masks(job: CaptionJob, video: Path) -> np.ndarray:
    """(T, h, w) bool masks of all frames that count: a clip is empty or not, whichever of its frames is shown."""
    for path in (video, Path(job.mask_path)):
        if not path.exists():
            raise InputError(f"{path}: not found; expected a video, a folder of frames or a picture")
    frames = count_frames(video)
    track = read_masks(
        Path(job.mask_path),
        min(frames, job.video_length) if job.video_length > 0 else frames,
        _own_size(Path(job.mask_path)),
        threshold=job.mask_threshold,
        object_ids=job.object_ids,
        frame_names=_names(Path(job.frames_path or job.video_path)),
    )
    return track.masks


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


def captionable_frames(frames: int, masks: Path) -> int:
    """N of the frame choice: the smaller of video frames and mask frames; one lone mask holds for all frames."""
    mask_frames = count_frames(_mask_source(masks))
    return frames if mask_frames == 1 else min(frames, mask_frames)


def _names(path: Path) -> tuple[str, ...]:
    return frame_names(path) if path.is_dir() else ()


def _mask_source(path: Path) -> Path:
    """The masks themselves, or the first of several objects' mask folders."""
    if not path.is_dir() or list_images(path):
        return path
    return next((item for item in list_folder(path) if item.is_dir() and list_images(item)), path)


def _own_size(path: Path) -> tuple[int, int]:
    source = _mask_source(path)
    if is_picture(source):
        height, width = read_picture(source).shape[:2]
        return height, width
    info = probe_clip(source)
    return info.height, info.width
