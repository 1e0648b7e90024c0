"""Pixels carried along completed flow into the hole ("ProPainter", section 3.2). No weights."""

import torch
from torch import nn

from lib.compute.steps import Steps, run_directly
from lib.propainter.warping import Interpolation, binarise, consistency, flow_warp


class ImagePropagation(nn.Module):
    """Fills holes from other frames; a module without parameters, so that its step is captured like the networks'."""

    def __init__(self, mode: Interpolation = "nearest") -> None:
        super().__init__()
        self._mode: Interpolation = mode

    def forward(
        self,
        frames: torch.Tensor,
        forward: torch.Tensor,
        backward: torch.Tensor,
        masks: torch.Tensor,
        steps: Steps = run_directly,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fill what another frame shows, looking at later frames first, then at earlier ones.

        Args:
            frames: (T, 3, H, W) in -1..1, 0 inside the mask.
            forward, backward: (T-1, 2, H, W), completed flow, pixels.
            masks: (T, 1, H, W), 1 = unknown.

        Returns:
            frames and what is still unknown, of the inputs' shapes.
        """
        from_later = self.one_way(frames.flip(0), masks.flip(0), forward.flip(0), backward.flip(0), steps)
        frames, masks = (x.flip(0) for x in from_later)
        return self.one_way(frames, masks, backward, forward, steps)

    def one_way(
        self, frames: torch.Tensor, masks: torch.Tensor, to_next: torch.Tensor, from_next: torch.Tensor, steps: Steps
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fill each frame from the one before it in visiting order.

        Args:
            frames: (T, 3, H, W) in visiting order. masks: (T, 1, H, W), 1 = unknown.
            to_next: (T-1, 2, H, W), flow from frame k+1 of that order to frame k. from_next: the opposite flow.

        Returns:
            frames and what is still unknown of them, of the inputs' shapes.
        """
        carried = [torch.cat((frames[0], masks[0]))[None]]
        for k in range(len(to_next)):
            current = torch.cat((frames[k + 1], masks[k + 1]))[None]
            flows = torch.cat((to_next[k], from_next[k]))[None]
            carried.append(steps(self, "step", current, carried[-1], flows))
        whole = torch.cat(carried)
        return whole[:, :3], whole[:, 3:]

    def step(self, current: torch.Tensor, last: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
        """current, last: (1, 4, H, W), colours and mask. flows: (1, 4, H, W), to the last frame and back."""
        there, back = flows.split(2, dim=1)
        colours, unknown = current.split((3, 1), dim=1)
        trusted = consistency(there, back).to(colours.dtype)
        warped = flow_warp(last[:, :3], there, self._mode).clamp(-1, 1)
        known_there = 1 - binarise(flow_warp(last[:, 3:], there, "bilinear"))
        use = binarise(unknown * trusted * known_there)
        still_unknown = binarise(unknown * (1 - trusted * known_there))
        return torch.cat((use * warped + (1 - use) * colours, still_unknown), dim=1)
