"""Flow inside the hole: recurrent flow completion (Zhou et al., "ProPainter", 2023, section 3.1).

All convolutions over (time, height, width) have extent either in space or in time, so frames are a batch here and time
is a sum of three shifted 1x1 convolutions. The parameters keep their published five axes.
"""

import torch
import torch.nn.functional as F
from torch import nn

from lib.compute.steps import Steps, run_directly
from lib.propainter.deformable import DeformableAlignment
from lib.propainter.layers import UpsampledConv, in_batches, leaky_relu

CHANNELS = 128
LARGEST_OFFSET = 5.0  # feature pixels, each 8 pixels of the frame
TEMPORAL_DILATION = 2
FRAMES_AT_ONCE = 16  # in the layers at 1/2 and full size, which need the most memory


class SpatialConv(nn.Conv3d):
    """A convolution without extent in time; applied to frames (n, c, h, w)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        border = int(self.padding[1])
        if self.padding_mode == "replicate":
            input, border = F.pad(input, (border,) * 4, mode="replicate"), 0
        weight = self.weight.squeeze(2)
        return F.conv2d(input, weight, self.bias, self.stride[1:], border, self.dilation[1:])


class TemporalConv(nn.Conv3d):
    """A convolution over time only, every second frame, zeros beyond the ends; applied to clips (b, t, c, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, (3, 1, 1), padding=(TEMPORAL_DILATION, 0, 0), dilation=TEMPORAL_DILATION)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        clips, frames = input.shape[:2]
        before, now, after = (self.weight[:, :, tap] for tap in range(3))
        flat = input.flatten(0, 1)
        output = in_batches(lambda x: F.conv2d(x, now, self.bias), flat, FRAMES_AT_ONCE).unflatten(0, (clips, frames))
        for tap, shift in ((before, TEMPORAL_DILATION), (after, -TEMPORAL_DILATION)):
            for start in range(0, frames - TEMPORAL_DILATION, FRAMES_AT_ONCE):
                stop = min(start + FRAMES_AT_ONCE, frames - TEMPORAL_DILATION)
                source = slice(start, stop) if shift > 0 else slice(start - shift, stop - shift)
                target = slice(start + shift, stop + shift) if shift > 0 else slice(start, stop)
                moved = F.conv2d(input[:, source].flatten(0, 1), tap)
                output[:, target] += moved.unflatten(0, (clips, stop - start))
        return output


def _spatial(in_channels: int, channels: int, size: int = 3, stride: int = 1, dilation: int = 1) -> SpatialConv:
    border = size // 2 * dilation
    return SpatialConv(
        in_channels, channels, (1, size, size), (1, stride, stride), (0, border, border), (1, dilation, dilation)
    )


class PseudoConv3d(nn.Module):
    """A 3x3 convolution in space, then one over time (Qiu et al., "P3D", 2017). Keys: conv1.0, conv2.0."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_spatial(in_channels, channels, stride=stride), leaky_relu())
        self.conv2 = nn.Sequential(TemporalConv(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, t, c, h, w) -> (b, t, channels, h/stride, w/stride)."""
        spatial = in_batches(self.conv1, x.flatten(0, 1), FRAMES_AT_ONCE)
        return self.conv2(spatial.unflatten(0, x.shape[:2]))


class SecondOrderPropagation(nn.Module):
    """Features carried through time, backwards and then forwards, each from the two frames visited before."""

    def __init__(self) -> None:
        super().__init__()
        self.deform_align = nn.ModuleDict(
            {
                name: DeformableAlignment(2 * CHANNELS, 3 * CHANNELS, CHANNELS, LARGEST_OFFSET)
                for name in ("backward_", "forward_")
            }
        )
        self.backbone = nn.ModuleDict(
            {
                "backward_": _backbone(2 * CHANNELS),
                "forward_": _backbone(3 * CHANNELS),
            }
        )
        self.fusion = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)

    def forward(self, features: torch.Tensor, steps: Steps = run_directly) -> torch.Tensor:
        """(b, t, 128, h, w) -> the same shape. `steps` runs what is repeated for every frame."""
        count = features.shape[1]
        backward = self._propagate("backward_", [features[:, k] for k in reversed(range(count))], steps)[::-1]
        current = [torch.cat((features[:, k], backward[k]), dim=1) for k in range(count)]
        forward = self._propagate("forward_", current, steps)
        both = torch.cat((torch.stack(backward, dim=1), torch.stack(forward, dim=1)), dim=2)
        return self.fusion(both.flatten(0, 1)).unflatten(0, features.shape[:2]) + features

    def _propagate(self, name: str, frames: list[torch.Tensor], steps: Steps) -> list[torch.Tensor]:
        """One direction; `frames` (b, 128 or 256, h, w) in visiting order, the frame's own features first."""
        nothing = torch.zeros_like(frames[0][:, :CHANNELS])
        backbone = self.backbone[name]
        carried = [backbone(torch.cat((frames[0], nothing), dim=1))]
        before_last = nothing
        for frame in frames[1:]:
            carried.append(steps(self, f"_{name}step", frame, carried[-1], before_last))
            before_last = carried[-2]
        return carried

    def _backward_step(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self._step("backward_", *inputs)

    def _forward_step(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self._step("forward_", *inputs)

    def _step(self, name: str, frame: torch.Tensor, last: torch.Tensor, before_last: torch.Tensor) -> torch.Tensor:
        condition = torch.cat((last, frame[:, :CHANNELS], before_last), dim=1)
        aligned = self.deform_align[name](torch.cat((last, before_last), dim=1), condition)
        return aligned + self.backbone[name](torch.cat((frame, aligned), dim=1))


def _backbone(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, CHANNELS, 3, padding=1), leaky_relu(0.1), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    )


class FlowCompletion(nn.Module):
    """Masked flow of one direction in, flow without holes out."""

    def __init__(self) -> None:
        super().__init__()
        first = SpatialConv(3, 32, (1, 5, 5), (1, 2, 2), (0, 2, 2), padding_mode="replicate")
        self.downsample = nn.Sequential(first, leaky_relu())
        self.encoder1 = nn.Sequential(PseudoConv3d(32, 32, 1), leaky_relu(), PseudoConv3d(32, 64, 2), leaky_relu())
        self.encoder2 = nn.Sequential(PseudoConv3d(64, 64, 1), leaky_relu(), PseudoConv3d(64, 128, 2), leaky_relu())
        self.mid_dilation = nn.Sequential(
            *(layer for dilation in (3, 2, 1) for layer in (_spatial(128, 128, dilation=dilation), leaky_relu()))
        )
        self.feat_prop_module = SecondOrderPropagation()
        self.decoder2 = nn.Sequential(
            nn.Conv2d(128, 128, 3, padding=1), leaky_relu(), UpsampledConv(128, 64), leaky_relu()
        )
        self.decoder1 = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1), leaky_relu(), UpsampledConv(64, 32), leaky_relu()
        )
        self.upsample = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), leaky_relu(), UpsampledConv(32, 2))

    def forward(self, flow: torch.Tensor, masks: torch.Tensor, steps: Steps = run_directly) -> torch.Tensor:
        """Complete each clip of flow in its own direction of time.

        Args:
            flow: (b, t, 2, h, w), pixels, 0 inside the mask; sides multiples of 8.
            masks: (b, t, 1, h, w), 1 = unknown.

        Returns:
            (b, t, 2, h, w), everywhere as the network sees it (known places too).
        """
        clips, frames = flow.shape[:2]
        x = torch.cat((flow, masks), dim=2).flatten(0, 1)
        x = in_batches(self.downsample, x, FRAMES_AT_ONCE).unflatten(0, (clips, frames))
        skip = self.encoder1(x)
        x = self.encoder2(skip)
        x = self.mid_dilation(x.flatten(0, 1)).unflatten(0, (clips, frames))
        x = self.feat_prop_module(x, steps)
        x, skip = x.flatten(0, 1), skip.flatten(0, 1)
        parts = zip(x.split(FRAMES_AT_ONCE), skip.split(FRAMES_AT_ONCE), strict=True)
        completed = [self.upsample(self.decoder1(self.decoder2(deep) + shallow)) for deep, shallow in parts]
        return torch.cat(completed).unflatten(0, (clips, frames))


def complete_flows(
    net: FlowCompletion, forward: torch.Tensor, backward: torch.Tensor, masks: torch.Tensor, steps: Steps = run_directly
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both directions of a clip, completed inside the hole and untouched outside.

    Both are one batch; the backward flow runs through the network in its own direction, which is reversed time.

    Args:
        forward, backward: (n, 2, h, w), pixels. masks: (n+1, 1, h, w), 1 = unknown.

    Returns:
        forward and backward flow, (n, 2, h, w) each, of the inputs' type.
    """
    dtype = next(net.parameters()).dtype
    flow = torch.stack((forward, backward.flip(0)))
    holes = torch.stack((masks[:-1], masks[1:].flip(0))).to(flow.dtype)
    predicted = net((flow * (1 - holes)).to(dtype), holes.to(dtype), steps).to(flow.dtype)
    completed = predicted * holes + flow * (1 - holes)
    return completed[0], completed[1].flip(0)
