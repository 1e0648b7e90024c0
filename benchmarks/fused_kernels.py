"""Whether the fused half-precision kernels compute what plain float32 torch does; they run on a GPU only."""

from collections.abc import Iterator

import torch
from torch import nn

from lib.diffueraser import ops
from lib.diffueraser.fused import fused_kernels

SHAPES = ((44, 320, 45, 90, 22), (6, 640, 23, 45, 3), (2, 960, 5, 7, 1), (4, 64, 1, 1, 2))  # n, C, h, w, frames


def kernel_errors() -> dict[str, float]:
    """Largest error of each kernel over several shapes, as a share of the largest value.

    Raises:
        RuntimeError: this machine has no fused kernels.
    """
    errors: dict[str, float] = {}
    for shape in SHAPES:
        generator = torch.Generator("cuda").manual_seed(0)
        half = _Inputs(*shape, generator)
        if fused_kernels(half.maps[0]) is None:
            raise RuntimeError("there are no fused kernels on this machine")
        results = list(half.results())
        half.to_float()
        for (name, result), (_, exact) in zip(results, half.results(), strict=True):
            error = ((result.float() - exact).abs().max() / exact.abs().max()).item()
            errors[name] = max(errors.get(name, 0.0), error)
    return errors


class _Inputs:
    """Random maps (n, C, h, w) and what the operations need beside them."""

    def __init__(
        self, count: int, channels: int, height: int, width: int, frames: int, generator: torch.Generator
    ) -> None:
        def draw(*shape: int) -> torch.Tensor:
            return (torch.randn(shape, device="cuda", generator=generator) * 2 + 1).half()

        last = torch.channels_last
        self.maps = [draw(count, channels, height, width).contiguous(memory_format=last) for _ in range(3)]
        self.shift, self.positions = draw(1, channels), draw(frames, channels)
        self.group, self.layer = nn.GroupNorm(32, channels).cuda().half(), nn.LayerNorm(channels).cuda().half()
        self.frames = frames

    def to_float(self) -> None:
        self.maps = [x.float() for x in self.maps]
        self.shift, self.positions = self.shift.float(), self.positions.float()
        self.group, self.layer = self.group.float(), self.layer.float()

    def results(self) -> Iterator[tuple[str, torch.Tensor]]:
        first, second, _ = self.maps
        rows = [ops.tokens(x) for x in self.maps]
        yield "group norm", ops.group_norm(first, self.group, shift=self.shift, silu=True)
        yield "group norm over time", ops.group_norm(first, self.group, frames=self.frames)
        yield "layer norm", ops.layer_norm(rows[0], self.layer, self.positions)
        yield "geglu", ops.geglu(rows[0])
        yield "sum", ops.add_with_bias(first, second, self.shift[0])
        yield "attention over time", ops.temporal_attention(*rows, heads=8, frames=self.frames)
