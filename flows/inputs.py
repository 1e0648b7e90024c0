"""The videos of a run, and the hashes of what they hold."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.errors import InputError, attempt
from lib.notes import Note
from lib.records import canonical_hash
from lib.runtime.file_states import FileState
from lib.runtime.fingerprints import fingerprint_path, sha256_file
from lib.settings import Processing, RunSettings
from lib.video.clip import probe_clip
from lib.video.datasets import DatasetScan, Video, scan_dataset
from lib.video.reading import clip_reading, look_at_input
from tasks.jobs import RemovalJob

SINGLE_VIDEO = "single_video"
_HASHING_THREADS = 4
_ADOPTED = "file-"


@dataclass(frozen=True)
class Fingerprints:
    """Hashes of the content of one video's inputs, and what is special in how they are read."""

    video: str
    mask: str
    reading: Mapping[str, Any] = field(default_factory=dict)  # as in `lib.video.reading`
    notes: tuple[Note, ...] = ()  # what headers, names, counts and the first frame and mask show
    states: tuple[FileState, ...] = ()  # of the files when they were hashed

    @classmethod
    def of(cls, job: RemovalJob) -> "Fingerprints":
        return cls(job.video_fingerprint, job.mask_fingerprint, job.reading, states=job.watched)


def find_videos(settings: RunSettings) -> DatasetScan:
    """The videos to work on, and what was found on one side only.

    Raises:
        InputError: a folder is missing or holds nothing usable, or a video that was asked for is not there.
    """
    io = settings.input_output
    if io.input_video and io.input_mask:
        video = Video(
            name=SINGLE_VIDEO, video_path=io.input_video, mask_path=io.input_mask, gt_path=_truth_of_one(settings)
        )
        return DatasetScan(videos=(video,), unmatched=())
    mask_root = io.mask_root or (io.video_root if io.dataset == "inbox" else None)
    if not (io.dataset and io.video_root and mask_root):
        raise InputError("no input: give input_video and input_mask, or dataset, video_root and mask_root")
    scan = scan_dataset(io.dataset, io.video_root, mask_root, settings.gt_root)
    return _only(scan, io.video_names, io.video_root) if io.video_names else scan


def _truth_of_one(settings: RunSettings) -> Path | None:
    path = settings.gt_root
    if path is not None and not path.exists():
        raise InputError(f"{path}: found nothing, expected the clean video (--gt_root); check the path or leave it out")
    return path


def _only(scan: DatasetScan, names: Sequence[str], root: Path) -> DatasetScan:
    found = [video.name for video in scan.videos] + [item.name for item in scan.unmatched]
    if missing := [name for name in names if name not in found]:
        raise InputError(f"{root}: no video named {', '.join(missing)}; found {', '.join(found) or 'none'}")
    return DatasetScan(
        videos=tuple(video for video in scan.videos if video.name in names),
        unmatched=tuple(item for item in scan.unmatched if item.name in names),
    )


def fingerprint_inputs(videos: Iterable[Video], settings: RunSettings) -> dict[str, Fingerprints | InputError]:
    """Hashes of every video's frames and masks by name; where they cannot be read, the error instead."""

    def one(video: Video) -> Fingerprints:
        states = FileState.of(video.video_path), FileState.of(video.mask_path)
        look = look_at_input(video.video_path, video.mask_path, settings.processing, settings.input_rules)
        return Fingerprints(states[0].fingerprint, states[1].fingerprint, look.reading, look.notes, states)

    videos = list(videos)
    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        found = pool.map(lambda video: attempt(lambda: one(video), video.video_path), videos)
        return dict(zip([video.name for video in videos], found, strict=True))


def fingerprint_truth(video: Video, video_fingerprint: str) -> str:
    """The hash of a video's ground truth; empty if it has none.

    Raises:
        InputError: it cannot be read.
    """
    if video.gt_path is None:
        return ""
    if video.gt_path == video.video_path:
        return video_fingerprint
    try:
        found = fingerprint_path(video.gt_path)
    except OSError as error:
        raise InputError(
            f"{error.filename or video.gt_path}: the ground truth cannot be read ({error.strerror or error})"
        ) from None
    if found == video_fingerprint:
        return found
    reading = clip_reading(probe_clip(video.gt_path), Processing(result_format="h264_8bit"))
    return f"{found}-{canonical_hash(reading)}" if reading else found


def pixel_count(video: Video, limit: int = -1) -> int:
    """Pixels of all frames (of `limit` frames at most): how long a video takes, compared with others. 0: unknown."""
    info = attempt(lambda: probe_clip(video.video_path), video.video_path)
    if isinstance(info, InputError):  # said when its phase reads it
        return 0
    frames = info.frame_count
    return info.height * info.width * (min(frames, limit) if limit > 0 else frames)


def adopted_key(path: Path) -> str:
    """Stands for a result that the cache did not make but that is kept because a flag says so."""
    return f"{_ADOPTED}{canonical_hash(sha256_file(path))}"


def is_adopted(key: str) -> bool:
    """Whether a key stands for such a result."""
    return key.startswith(_ADOPTED)
