"""Draws that are given as arrays."""

from collections.abc import Mapping

import torch

from lib.diffueraser.draws import PosteriorPurpose


class GivenDraws:
    """Rows of arrays, (n, 4, h, w) each, by index."""

    def __init__(
        self,
        noise: torch.Tensor,
        posteriors: Mapping[str, torch.Tensor],
        anchor: torch.Tensor,
    ) -> None:
        self._noise, self._posteriors, self._anchor = noise, posteriors, anchor

    def noise(self, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        return _fitting(self._noise[index], shape)

    def posterior(self, purpose: PosteriorPurpose, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        return _fitting(self._posteriors[purpose][index], shape)

    def anchor(self, shape: tuple[int, ...]) -> torch.Tensor:
        return _fitting(self._anchor, shape)


def _fitting(row: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    assert row.shape == shape
    return row
