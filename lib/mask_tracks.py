"""The masks of a clip, read as a run's settings say: the same for whoever removes, shows or measures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lib.notes import Note, input_note
from lib.settings import Processing
from lib.video.clip import ClipInfo
from lib.video.masks import MaskTrack, mask_reading, masks_at_a_glance, read_masks

_LARGEST_HOLE = 0.6  # of the frame; objects are hardly ever larger


def read_mask_track(clip: ClipInfo, masks: Path, processing: Processing, positions: Sequence[int] | int) -> MaskTrack:
    """The masks of some of a clip's frames, counted from 0 (a number: the first so many), not yet dilated.

    Raises:
        InputError: as in `lib.video.masks.read_masks`.
    """
    track = read_masks(
        masks,
        clip.timeline,
        (clip.height, clip.width),
        positions=positions,
        limit=processing.video_length,
        threshold=processing.mask_threshold,
        object_ids=processing.object_ids,
        invert=processing.invert_mask,
        sample_aspect=clip.sample_aspect,
    )
    return replace(track, notes=track.notes + inversion_notes(track.masks, processing.invert_mask))


@dataclass(frozen=True)
class MaskLook:
    """What names, headers and the first mask show."""

    reading: dict[str, Any]  # as `lib.video.masks.mask_reading`
    notes: tuple[Note, ...]


def look_at_masks(clip: ClipInfo, masks: Path, processing: Processing, positions: Sequence[int]) -> MaskLook:
    """The same masks without decoding more than the first.

    Raises:
        InputError: they cannot be found, opened, paired or brought to the clip's size.
    """
    options: dict[str, Any] = {
        "limit": processing.video_length,
        "threshold": processing.mask_threshold,
        "object_ids": processing.object_ids,
        "sample_aspect": clip.sample_aspect,
    }
    reading = mask_reading(masks, clip.timeline, size=clip.size, **options)
    notes, first = masks_at_a_glance(masks, clip.timeline, clip.size, positions=positions, **options)
    if first is not None:
        shown = ~first if processing.invert_mask else first
        notes += inversion_notes(shown[None], processing.invert_mask)
    return MaskLook(reading, notes)


def inversion_notes(masks: np.ndarray, inverted: bool) -> tuple[Note, ...]:
    """A doubt whether (T, H, W) bool masks show what shall stay; `inverted`: they have been inverted already."""
    holes = [mask for mask in masks if mask.any()]
    if not holes:
        return ()
    median = float(np.median([mask.mean() for mask in holes]))
    if median > _LARGEST_HOLE:
        what = f"the hole covers {median:.0%} of the frame"
    elif 2 * sum(map(_surrounds_an_island, holes)) > len(holes):
        what = "the hole touches all borders of the frame and surrounds one island"
    else:
        return ()
    advice = (
        "if the masks show what shall go, leave --invert_mask out"
        if inverted
        else "if the masks show what shall stay, give --invert_mask"
    )
    return (input_note(f"{what}: {advice}"),)


def _surrounds_an_island(mask: np.ndarray) -> bool:
    """Whether a (H, W) hole touches all four borders and leaves one single piece of the frame."""
    if not all(border.any() for border in (mask[0], mask[-1], mask[:, 0], mask[:, -1])):
        return False
    import cv2

    labels, _ = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=8)
    return labels == 2  # the hole itself is one of them
