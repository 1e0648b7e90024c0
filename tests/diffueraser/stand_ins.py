"""Stand-ins for BrushNet and the UNet that note what they are asked, and answer with a simple formula."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Call:
    """One pass through both networks: B clips of T frames."""

    sample: torch.Tensor  # (B * T, 4, h, w)
    cond: torch.Tensor  # (B * T, 5, h, w)
    text: torch.Tensor  # (B, n, D)
    timestep: int
    num_frames: int

    def of_item(self, item: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy latents and conditioning of one of the B clips."""
        rows = slice(item * self.num_frames, (item + 1) * self.num_frames)
        return self.sample[rows], self.cond[rows]


class Recorder:
    """Both networks; `calls` lists their passes."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.brushnet, self.unet = _BrushNet(), _UNet(self.calls)

    def take(self) -> list[Call]:
        """The calls since the last time."""
        calls = list(self.calls)
        self.calls.clear()
        return calls


def predicted(call: Call) -> torch.Tensor:
    """What the stand-ins answer: each frame depends on itself, the words, and its place in the window."""
    words = call.text.mean(dim=(1, 2)).repeat_interleave(call.num_frames)[:, None, None, None]
    places = torch.arange(call.num_frames).repeat(len(call.text))[:, None, None, None]
    return 0.3 * call.sample + 0.2 * call.cond[:, :4] - 0.1 * call.cond[:, 4:] + words + 0.02 * places


class _BrushNet(nn.Module):
    """Its residuals are its inputs."""

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, cond: torch.Tensor) -> tuple:
        return sample.clone(), int(timestep), text.clone(), cond.clone()


class _UNet(nn.Module):
    def __init__(self, calls: list[Call]) -> None:
        super().__init__()
        self.calls = calls
        self.any_parameter = nn.Parameter(torch.zeros(1), requires_grad=False)  # networks are asked for their type

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, num_frames: int, residuals: tuple
    ) -> torch.Tensor:
        """Both networks must see the same."""
        seen, level, words, cond = residuals
        assert torch.equal(seen, sample)
        assert torch.equal(words, text)
        assert level == int(timestep)
        assert len(sample) == len(text) * num_frames == len(cond)
        self.calls.append(Call(seen, cond, words, level, num_frames))
        return predicted(self.calls[-1])
