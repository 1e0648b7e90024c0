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
        for index, gray in enumerate(decode_frames(self.path, "gray", findings=self._findings)):
            count += 1
            if self._findings.undecodable:
                break  # from here on it is not known which frame is which
            if index in wanted:
                self.tally.add(gray)
                yield index, self.path, gray > (LOSSY_THRESHOLD if self._threshold is None else self._threshold)
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
        notes += (input_note(f"mask video: {remark.text}") for remark in self._findings.remarks)
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
        """What is not read as a mask video with as many frames as the clip is."""
        return {} if pairing.is_plain(limit) else {"by_time": True}

    @cached_property
    def _info(self) -> ClipInfo:
        return probe_clip(self.path)
