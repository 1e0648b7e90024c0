"""Masks out of a video file, read as it plays: never more than one decoded frame at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.clip import ClipInfo, probe_clip
from lib.video.decode import Findings, decode_frames
from lib.video.mask_alpha import ALPHA_NOTE, gray_and_alpha, has_alpha, values_of_object
from lib.video.mask_grays import LOSSY_THRESHOLD, GrayTally, MaskRules, check_grays
from lib.video.pairing import Pairing, pair_video, time_note
from lib.video.timeline import Timeline


class VideoSource:
    """A video whose frames are the masks.

    Attributes:
        tally: gray values of the masks that were read.
        found_ids: stays empty, a video has no object ids.
    """

    def __init__(self, path: Path, rules: MaskRules) -> None:
        self.path = path
        self.tally = GrayTally()
        self.found_ids: set[int] = set()
        self._threshold = rules.threshold
        self._findings = Findings()
        if rules.object_ids:
            raise InputError(
                f"{path}: object ids need lossless masks (palette or gray PNG), found {path.suffix}; leave the ids out"
            )

    def pair(self, clip: Timeline, limit: int = -1) -> Pairing:
        """Which frame of the mask video belongs to which frame of the clip, whose first `limit` are worked on.

        Raises:
            InputError: the file is no readable video, or as `lib.video.pairing.pair_video`.
        """
        return pair_video(self.path, self._info.timeline, clip, limit)

    def masks(self, indices: Iterable[int]) -> Iterator[tuple[int, Path, np.ndarray]]:
        """Index, file and (h, w) bool mask of each of the frames wanted, at the video's own size.

        Raises:
            InputError: the video cannot be decoded as far as that.
        """
        wanted = set(indices)
        last, count, self._findings = max(wanted, default=-1), 0, Findings()
        for index, (values, by_alpha) in enumerate(self._values(self._findings)):
            count += 1
            if self._findings.undecodable:
                break  # from here on it is not known which frame is which
            if index in wanted:
                self.tally.add(values)
                if by_alpha:
                    self._findings.remarks[ALPHA_NOTE] = None
                yield index, self.path, self._object(values)
            if index == last:
                return
        why = f" ({self._findings.reason})" if self._findings.reason else ""
        raise InputError(
            f"{self.path}: found {count} frames that can be decoded{why}, expected {self._info.timeline.count}; "
            "replace the mask video or encode it again"
        )

    def notes(self, pairing: Pairing, positions: Iterable[int], clip: Timeline) -> tuple[Note, ...]:
        """What is in doubt, once the masks have been read.

        Raises:
            InputError: as `lib.video.mask_grays.check_grays`.
        """
        notes = list(self.pairing_notes(pairing, positions, clip))
        remarks = self._findings.remarks
        notes += (note if note is ALPHA_NOTE else input_note(f"mask video: {note.text}") for note in remarks)
        if self._findings.corrupt:
            notes.append(input_note(f"{self._findings.corrupt} frames of the mask video are corrupt"))
        return (*notes, *(check_grays(self.path, self.tally) if self._threshold is None else ()))

    def pairing_notes(self, pairing: Pairing, positions: Iterable[int], clip: Timeline) -> tuple[Note, ...]:  # noqa: ARG002
        """What was taken for granted in giving masks to frames."""
        return (time_note(self._info.timeline, clip),) if pairing.way == "time" else ()

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(H, W) of the frames."""
        return ((self._info.height, self._info.width),)

    @property
    def count(self) -> int:
        return self._info.frame_count

    def first_size(self) -> tuple[int, int]:
        """(H, W) of a frame."""
        return self._info.size

    def reading(self, pairing: Pairing, limit: int = -1) -> dict[str, Any]:
        """What is not read as a mask video with as many frames as the clip is.

        Raises:
            InputError: a video with an alpha channel cannot be decoded.
        """
        reading = {} if pairing.is_plain(limit) else {"by_time": True}
        if self._has_alpha and self._alpha_decides():
            reading["alpha"] = True
        return reading

    def _values(self, findings: Findings) -> Iterator[tuple[np.ndarray, bool]]:
        """Of each frame the (H, W) values that tell the object, and whether they are its alpha channel's."""
        if not self._has_alpha:
            return ((gray, False) for gray in decode_frames(self.path, "gray", findings=findings))
        return (values_of_object(gray, alpha) for gray, alpha in gray_and_alpha(self.path, findings))

    def _object(self, values: np.ndarray) -> np.ndarray:
        return values > (LOSSY_THRESHOLD if self._threshold is None else self._threshold)

    def _alpha_decides(self) -> bool:
        """Whether the alpha channel gives another mask than the colours to any of the frames."""
        frames = gray_and_alpha(self.path, Findings())
        return any(
            not np.array_equal(self._object(values_of_object(gray, alpha)[0]), self._object(gray))
            for gray, alpha in frames
        )

    @cached_property
    def _has_alpha(self) -> bool:
        return has_alpha(self.path)

    @cached_property
    def _info(self) -> ClipInfo:
        return probe_clip(self.path)
