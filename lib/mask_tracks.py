"""The masks of a clip, read as a run's settings say: the same for whoever removes, shows or measures."""

from pathlib import Path

from lib.settings import Processing
from lib.video.clip import frame_names
from lib.video.masks import MaskTrack, read_masks


def read_mask_track(video: Path, masks: Path, count: int, size: tuple[int, int], processing: Processing) -> MaskTrack:
    """The masks of the first `count` frames of a video of `size` (H, W), not yet dilated.

    Raises:
        InputError: as in `lib.video.masks.read_masks`.
    """
    return read_masks(
        masks,
        count,
        size,
        threshold=processing.mask_threshold,
        object_ids=processing.object_ids,
        frame_names=frame_names(video),
    )
