"""The captioner's pictures, read from a video and its masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.captioner.backend import CaptionPicture
from lib.captioner.caption_job import CaptionJob
from lib.captioner.frames import caption_frame_indices, crop_around, gray_out, hole_in_frame, resize_nearest
from lib.errors import InputError
from lib.video.clip import FRAME_SUFFIXES, ClipInfo, probe_clip, read_clip_frame, worked_positions
from lib.video.decode import DEFAULT_FPS
from lib.video.masks import MaskTrack, count_masks, mask_size, read_masks
from lib.video.pictures import read_frame_picture
from lib.video.timeline import Timeline


def read_from_video(job: CaptionJob) -> tuple[CaptionPicture, ...]:
    """The frames that the job's strategy picks, the object hidden in gray.

    Raises:
        InputError: video or masks are missing, unreadable or empty.
    """
    video = Path(job.video_path)
    track = _read_track(job, video)
    masks, captionable = track.masks, captionable_frames(track, Path(job.mask_path))
    is_source = job.video_path == (job.frames_path or job.video_path)
    pictures = []
    for choice in caption_frame_indices(len(captionable), job.frame_strategy, job.num_sample_frames):
        index = captionable[choice]
        frame = read_frame(video, index, deinterlace=job.deinterlace and is_source)
        hole = hole_in_frame(masks[index], frame.shape[:2], job.mask_dilation_iter)
        pictures.append(CaptionPicture(gray_out(frame, hole), hole, index))
    return tuple(pictures)


def read_object(job: CaptionJob) -> np.ndarray:
    """The object and a rim of its surroundings, (h, w, 3) uint8 RGB, from the frame where its mask is largest.

    Raises:
        InputError: as `read_from_video`, of `object_video`.
    """
    video = Path(job.object_video)
    masks = _read_track(job, video).masks
    index = int(masks.sum(axis=(1, 2)).argmax())
    frame = read_frame(video, index, deinterlace=job.deinterlace)
    return crop_around(frame, resize_nearest(masks[index], frame.shape[:2]))


def _read_track(job: CaptionJob, video: Path) -> MaskTrack:
    """Masks at their own size of all frames that count: a clip is empty or not, whichever of its frames is shown."""
    for path in (video, Path(job.mask_path)):
        if not path.exists():
            raise InputError(f"{path}: not found; expected a video, a folder of frames or a picture")
    clip, limit = _clip_of(Path(job.frames_path or job.video_path)), job.video_length
    shown = count_frames(video)
    count = min(shown, limit) if limit > 0 else shown
    return read_masks(
        Path(job.mask_path),
        clip.timeline,
        mask_size(Path(job.mask_path)),
        positions=worked_positions(clip, limit, min(count, clip.frame_count)),
        limit=limit,
        threshold=job.mask_threshold,
        object_ids=job.object_ids,
        invert=job.invert_mask,
    )


def _clip_of(path: Path) -> ClipInfo:
    """The clip that the masks were made for."""
    if not is_picture(path):
        return probe_clip(path)
    height, width = read_frame(path, 0).shape[:2]
    return ClipInfo(path, height, width, Timeline(1, DEFAULT_FPS, names=(path.stem,)))


def is_picture(path: Path) -> bool:
    """Whether the path is a single picture file."""
    return path.is_file() and path.suffix.lower() in FRAME_SUFFIXES


def count_frames(path: Path) -> int:
    """Number of frames of a video, frame folder or picture (1)."""
    return 1 if is_picture(path) else probe_clip(path).frame_count


def read_frame(path: Path, index: int, *, deinterlace: bool = False) -> np.ndarray:
    """Frame `index` (clamped to the last) of a video, frame folder or picture, (H, W, 3) uint8 RGB."""
    return read_frame_picture(path)[0] if is_picture(path) else read_clip_frame(path, index, deinterlace=deinterlace)


def captionable_frames(track: MaskTrack, masks: Path) -> Sequence[int]:
    """The frames to choose from, ascending.

    Masks in order or by name: the first N, N the smaller of video frames and masks; one lone mask holds for all. Where
    numbers or times say which frames the masks are for: the frames that have an object.
    """
    if not track.plain:
        return tuple(map(int, np.flatnonzero(track.masks.any(axis=(1, 2)))))
    frames, count = len(track.masks), count_masks(masks)
    return range(frames if count == 1 else min(frames, count))
