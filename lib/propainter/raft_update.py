"""One iteration of RAFT: motion encoder, separable convolutional GRU, flow head (Teed and Deng, section 3.3)."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

CORRELATIONS = 324  # 4 levels of 9x9
FLOW = 2
Update = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class MotionEncoder(nn.Module):
    """Correlations (n, 324, h, w) and flow (n, 2, h, w) -> motion features (n, 128, h, w), the flow itself last."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(CORRELATIONS, 256, 1)
        self.convc2 = nn.Conv2d(256, 192, 3, padding=1)
        self.convf1 = nn.Conv2d(FLOW, 128, 7, padding=3)
        self.convf2 = nn.Conv2d(128, 64, 3, padding=1)
        self.conv = nn.Conv2d(192 + 64, 128 - FLOW, 3, padding=1)

    def forward(self, correlations: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        seen = self.convc2(self.convc1(correlations).relu_()).relu_()
        moved = self.convf2(self.convf1(flow).relu_()).relu_()
        return torch.cat((self.conv(torch.cat((seen, moved), dim=1)).relu_(), flow), dim=1)


class _GatedPass:
    """One of the GRU's two passes, prepared for one clip.

    The context's share of every convolution is the same at all iterations: it is computed here, once. Update and reset
    gate read the same input: they are one convolution.
    """

    def __init__(self, update: nn.Conv2d, reset: nn.Conv2d, candidate: nn.Conv2d, context: torch.Tensor) -> None:
        self._padding = candidate.padding
        gates = torch.cat((update.weight, reset.weight))
        gates_bias = None
        if update.bias is not None and reset.bias is not None:
            gates_bias = torch.cat((update.bias, reset.bias))
        self._channels = candidate.out_channels
        self._gates, self._gates_context = self._split(gates, gates_bias, context)
        self._candidate, self._candidate_context = self._split(candidate.weight, candidate.bias, context)

    def _split(
        self, weight: torch.Tensor, bias: torch.Tensor | None, context: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The weight for (hidden, motion), and the context's contribution with the bias."""
        hidden, of_context, motion = weight.split((self._channels, context.shape[1], self._channels), dim=1)
        return torch.cat((hidden, motion), dim=1), F.conv2d(context, of_context, bias, padding=self._padding)

    def __call__(self, hidden: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
        gates = F.conv2d(torch.cat((hidden, motion), dim=1), self._gates, padding=self._padding)
        update, reset = gates.add_(self._gates_context).sigmoid_().chunk(2, dim=1)
        mixed = torch.cat((reset * hidden, motion), dim=1)
        candidate = F.conv2d(mixed, self._candidate, padding=self._padding)
        return torch.lerp(hidden, candidate.add_(self._candidate_context).tanh_(), update)


class SeparableGRU(nn.Module):
    """A GRU of 1x5 and then 5x1 convolutions over (hidden 128, context 128, motion 128)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("convz1", "convr1", "convq1"):
            self.add_module(name, nn.Conv2d(3 * channels, channels, (1, 5), padding=(0, 2)))
        for name in ("convz2", "convr2", "convq2"):
            self.add_module(name, nn.Conv2d(3 * channels, channels, (5, 1), padding=(2, 0)))

    def start(self, context: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The GRU for one context (n, 128, h, w): a function of hidden state and motion features."""
        along_rows = _GatedPass(self._conv("convz1"), self._conv("convr1"), self._conv("convq1"), context)
        along_columns = _GatedPass(self._conv("convz2"), self._conv("convr2"), self._conv("convq2"), context)

        def step(hidden: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
            return along_columns(along_rows(hidden, motion), motion)

        return step

    def _conv(self, name: str) -> nn.Conv2d:
        return cast(nn.Conv2d, getattr(self, name))


class FlowHead(nn.Module):
    """Hidden state (n, 128, h, w) -> change of the flow (n, 2, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, FLOW, 3, padding=1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.conv1(hidden).relu_())


class UpdateBlock(nn.Module):
    """All that one iteration does, with weights shared by all iterations."""

    MASK_SCALE = 0.25  # the published weights were trained with gradients balanced so

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder = MotionEncoder()
        self.gru = SeparableGRU(channels)
        self.flow_head = FlowHead(channels)
        self.mask = nn.Sequential(nn.Conv2d(channels, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 64 * 9, 1))

    def start(self, context: torch.Tensor) -> Update:
        """The iteration for one context (n, 128, h, w): (hidden, correlations, flow) -> (hidden, change of flow)."""
        gru = self.gru.start(context)
        dtype = context.dtype

        def update(
            hidden: torch.Tensor, correlations: torch.Tensor, flow: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = gru(hidden, self.encoder(correlations.to(dtype), flow.to(dtype)))
            return hidden, self.flow_head(hidden).float()

        return update

    def upsampling_mask(self, hidden: torch.Tensor) -> torch.Tensor:
        """Weights of the convex upsampling, before their softmax: (n, 576, h, w)."""
        return self.MASK_SCALE * self.mask(hidden)
