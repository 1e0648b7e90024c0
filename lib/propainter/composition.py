"""From painted windows to the frames of the result: every frame is painted by two or three windows."""

from typing import Protocol

import torch

from lib.propainter.settings import Numerics


class Composition(Protocol):
    """Collects what the windows painted; frames are (n, H, W, 3) uint8 on the device."""

    def add(self, start: int, painted: torch.Tensor, originals: torch.Tensor, holes: torch.Tensor) -> None:
        """One window's frames from `start` on: painted (n, 3, H, W) in -1..1, originals, holes (n, H, W) bool."""
        ...

    def take(self, index: int) -> torch.Tensor:
        """The finished frame (H, W, 3), which is not kept any longer."""
        ...


def make_composition(numerics: Numerics) -> Composition:
    return RunningAverage() if numerics == "reference" else MeanOfVisits()


class MeanOfVisits:
    """Every visit counts the same; rounded once."""

    def __init__(self) -> None:
        self._sums: dict[int, torch.Tensor] = {}
        self._visits: dict[int, int] = {}
        self._originals: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def add(self, start: int, painted: torch.Tensor, originals: torch.Tensor, holes: torch.Tensor) -> None:
        values = (painted.permute(0, 2, 3, 1).float() + 1) * 127.5
        for offset, value in enumerate(values):
            index = start + offset
            self._sums[index] = self._sums[index] + value if index in self._sums else value
            self._visits[index] = self._visits.get(index, 0) + 1
            self._originals[index] = (originals[offset], holes[offset])

    def take(self, index: int) -> torch.Tensor:
        original, hole = self._originals.pop(index)
        mean = self._sums.pop(index) / self._visits.pop(index)
        return torch.where(hole[..., None], mean.round().clamp(0, 255).to(torch.uint8), original)


class RunningAverage:
    """As the published driver blends: every visit is cut to integers and averaged with what was there before."""

    def __init__(self) -> None:
        self._frames: dict[int, torch.Tensor] = {}

    def add(self, start: int, painted: torch.Tensor, originals: torch.Tensor, holes: torch.Tensor) -> None:
        values = ((painted.permute(0, 2, 3, 1) + 1) / 2 * 255).to(torch.uint8)
        visits = torch.where(holes[..., None], values, originals).to(torch.int16)
        for offset, visit in enumerate(visits):
            before = self._frames.get(start + offset)
            self._frames[start + offset] = visit if before is None else (before + visit) // 2

    def take(self, index: int) -> torch.Tensor:
        return self._frames.pop(index).to(torch.uint8)
