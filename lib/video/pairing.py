"""Which mask belongs to which frame of a clip: by name, in order, by number or by time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.timeline import Timeline

Way = Literal["all", "name", "order", "number", "time"]
_CONTAINER_CLOCK = Fraction(1, 1000)  # seconds; containers round times, most coarsely to this
_MOST_RANGES = 8
_LIKE_RATES = Fraction(1, 100)  # share by which rates may differ to be taken for the same


@dataclass(frozen=True)
class Pairing:
    """The mask of each frame of a whole clip."""

    way: Way
    masks: tuple[int | None, ...]  # for each frame the index of its mask; None: no object there
    found: int  # masks that there are
    own: tuple[int, ...] = ()  # ascending frames with a mask of their own, where not all frames have one
    counted: bool = True  # whether the frames' numbers as told to the user are those that the masks bear

    def is_plain(self, limit: int = -1) -> bool:
        """Whether the first `limit` frames (-1: all) have the masks that older versions gave them.

        Those took masks by name, a frame without one that of a neighbour, or in order, the last one for what was left.
        """
        masks = self.masks if limit < 0 else self.masks[:limit]
        if self.way == "name":
            return None not in masks
        return masks == tuple(min(frame, self.found - 1) for frame in range(len(masks)))


def pair_all(clip: Timeline) -> Pairing:
    """One mask for all frames."""
    return Pairing("all", (0,) * clip.count, 1)


def pair_pictures(where: Path, stems: Sequence[str], clip: Timeline, limit: int = -1) -> Pairing:
    """Masks of a folder, given by their files' stems in natural order.

    Args:
        limit: how many of the clip's first frames are worked on, -1 for all: so many masks may be those of them.

    Raises:
        InputError: too few or too many masks whose numbers do not say which frames they are for.
    """
    if len(stems) == 1 and _number(stems[0]) is None:
        return pair_all(clip)
    frame_of = {name: index for index, name in enumerate(clip.names)}
    if all(stem in frame_of for stem in stems):
        return _spread("name", [frame_of[stem] for stem in stems], stems, clip.count)
    if len(stems) == clip.count or (len(stems) == limit < clip.count and _may_be_the_first(stems, clip)):
        return _in_order(len(stems), clip)
    return _spread("number", _frames_by_number(where, stems, clip), stems, clip.count)


def pair_video(path: Path, masks: Timeline, clip: Timeline, limit: int = -1) -> Pairing:
    """Frames of a mask video: in order where there are as many as the clip has, else by time.

    Args:
        limit: as of `pair_pictures`.

    Raises:
        InputError: neither the numbers of frames nor the durations are equal.
    """
    if masks.count == clip.count or (masks.count > clip.count and clip.cut and _about_equal(masks.fps, clip.fps)):
        return _in_order(masks.count, clip)
    if abs(masks.duration - clip.duration) > 1 / min(masks.fps, clip.fps):
        if masks.count == limit < clip.count:
            return _in_order(masks.count, clip)
        raise InputError(
            f"{path}: the mask video has {_length(masks)}, the clip {_length(clip)}; "
            "expected as many frames, or the same duration; cut the mask video like the clip"
        )
    return Pairing("time", _shown_at(masks, clip), masks.count)


def pairing_notes(pairing: Pairing, positions: Iterable[int]) -> tuple[Note, ...]:
    """What was taken for granted at those of the clip's frames that are wanted."""
    if not pairing.own:
        return ()
    own = frozenset(pairing.own)
    missing = [index for index in sorted(set(positions)) if index not in own]
    notes = []
    if none := [index for index in missing if pairing.masks[index] is None]:
        text = f"{_masks_of(pairing)}: {_frames(none, ' and ')} {_are(none)} taken to have no object"
        if len(own) == 1:
            text += "; give the picture itself to use it for all frames"
        notes.append(input_note(text))
    if held := [index for index in missing if pairing.masks[index] is not None]:
        counted = "" if pairing.counted else " (counted from 0)"
        notes.append(input_note(f"no masks for {_frames(held)}{counted}: the mask before them is used"))
    return tuple(notes)


def time_note(masks: Timeline, clip: Timeline) -> Note:
    """That masks were paired by time."""
    return input_note(
        f"the mask video has {_length(masks)}, the clip {_length(clip)}: "
        "each frame takes the mask that is shown at its time"
    )


def ranges(numbers: Iterable[int], joint: str = ", ") -> str:
    """Numbers as `3-4, 6`; the first few ranges of many."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    if len(texts) > _MOST_RANGES:
        return f"{', '.join(texts[:_MOST_RANGES])} and {len(texts) - _MOST_RANGES} more ranges"
    return joint.join(texts)


def _in_order(found: int, clip: Timeline) -> Pairing:
    """A mask for each of the first frames."""
    return Pairing("order", (*range(min(found, clip.count)), *(None,) * (clip.count - found)), found)


def _may_be_the_first(stems: Sequence[str], clip: Timeline) -> bool:
    """Whether the names of masks do not speak against their being those of the clip's first frames, in order."""
    numbers = [_number(stem) for stem in stems]
    if None in numbers:
        return True
    counted = numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))
    return counted and not set(numbers) <= {_number(name) for name in clip.names}


def _spread(way: Way, frames: Sequence[int], stems: Sequence[str], count: int) -> Pairing:
    """Masks at their frames; between two of them the one before holds on."""
    mask_at = {frame: mask for mask, frame in enumerate(frames)}
    first, last = min(mask_at), max(mask_at)
    masks: list[int | None] = []
    for frame in range(count):
        masks.append(mask_at.get(frame, masks[-1] if masks else None) if first <= frame <= last else None)
    counted = all(_number(stem) == frame for stem, frame in zip(stems, frames, strict=True))
    own = tuple(sorted(frame for frame in mask_at if frame < count))
    own = own if len(own) < count else ()
    return Pairing(way, tuple(masks), len(frames), own, counted)


def _frames_by_number(where: Path, stems: Sequence[str], clip: Timeline) -> list[int]:
    numbers = _numbers(where, stems, clip)
    own = [_number(name) for name in clip.names]
    if len(set(own)) == len(own) and None not in own and set(numbers) <= set(own):
        frame_of = {number: index for index, number in enumerate(own)}
        return [frame_of[number] for number in numbers]
    from_one = max(numbers) == (len(numbers) if clip.cut and len(numbers) > clip.count else clip.count)
    first = 1 if min(numbers) == 1 and from_one else 0
    end = max(numbers) + 1 if clip.cut else clip.count  # frames that a cut file lacks may have masks
    if outside := [number for number in numbers if not 0 <= number - first < end]:
        raise InputError(
            f"{where}: found {len(stems)} masks numbered {ranges(numbers)}, the clip has {clip.count} frames"
            f"{_frame_numbers(own)}: none of them is frame {ranges(outside)}; "
            "expected as many masks as frames, or masks that bear the frames' names or numbers"
        )
    return [number - first for number in numbers]


def _numbers(where: Path, stems: Sequence[str], clip: Timeline) -> list[int]:
    """The number of each mask, no two alike."""
    stem_of: dict[int, str] = {}
    sides = f"{where}: found {len(stems)} masks, the clip has {clip.count} frames"
    for stem in stems:
        number = _number(stem)
        if number is None:
            raise InputError(
                f"{sides}, and the name {stem!r} has no number that says for which of them it is; "
                "expected as many masks as frames, or masks that bear the frames' names or numbers"
            )
        other = stem_of.setdefault(number, stem)
        if other != stem:
            raise InputError(
                f"{sides}, and both {other!r} and {stem!r} bear the number {number}; "
                "expected one mask a frame, with its number last in the name; put each object in a folder of its own"
            )
    return list(stem_of)


def _number(stem: str) -> int | None:
    """The last group of digits."""
    groups = re.findall(r"[0-9]+", stem)
    return int(groups[-1]) if groups else None


def _about_equal(rate: Fraction, other: Fraction) -> bool:
    return abs(rate / other - 1) < _LIKE_RATES


def _shown_at(masks: Timeline, clip: Timeline) -> tuple[int, ...]:
    """For each frame of the clip the mask frame that is on show when it appears."""
    tolerance = min(_CONTAINER_CLOCK, 1 / (4 * masks.fps))
    shown, current = [], 0
    for index in range(clip.count):
        now = clip.time(index) + tolerance
        while current + 1 < masks.count and masks.time(current + 1) <= now:
            current += 1
        shown.append(current)
    return tuple(shown)


def _length(timeline: Timeline) -> str:
    frames = "1 frame" if timeline.count == 1 else f"{timeline.count} frames"
    return f"{frames} at {float(timeline.fps):.6g} fps ({float(timeline.duration):.3f} s)"


def _frame_numbers(own: Sequence[int | None]) -> str:
    numbers = [number for number in own if number is not None]
    return f" numbered {ranges(numbers)}" if own and len(numbers) == len(own) else ""


def _masks_of(pairing: Pairing) -> str:
    first, last = pairing.own[0], pairing.own[-1]
    masks = f"mask {first}" if first == last else f"masks {first}-{last}"
    return f"{masks} of {len(pairing.masks)} frames" + ("" if pairing.counted else " (counted from 0)")


def _frames(indices: Sequence[int], joint: str = ", ") -> str:
    return f"{'frame' if len(indices) == 1 else 'frames'} {ranges(indices, joint)}"


def _are(indices: Sequence[int]) -> str:
    return "is" if len(indices) == 1 else "are"
