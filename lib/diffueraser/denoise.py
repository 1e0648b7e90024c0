"""The denoising loop over windows of a clip: each step reads the latents of its start and blends what windows give."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from lib.compute.steps import Steps, run_directly
from lib.diffueraser.brushnet import BrushNet
from lib.diffueraser.guidance import Conditioning, TextGuidance, condition_on
from lib.diffueraser.latents import LatentStore
from lib.diffueraser.sampler import noise_to, tcd_step, timesteps
from lib.diffueraser.settings import EraserSettings
from lib.diffueraser.unet import MotionUNet
from lib.diffueraser.windows import Windows, new_window_weights


@dataclass(frozen=True)
class AnchorLatents:
    """The anchor as one more row in front of a window: its frame is wholly known and never denoised."""

    latent: torch.Tensor  # (1, 4, h, w), clean
    noise: torch.Tensor  # (1, 4, h, w), the same at every step and window
    first_window_only: bool = False


@dataclass(frozen=True)
class Stochastic:
    """For a sampler that adds new noise at each step (not the published driver's)."""

    eta: float
    draw: Callable[[torch.Size], torch.Tensor]


class Networks(nn.Module):
    """BrushNet and the motion UNet as one step of work."""

    def __init__(self, brushnet: BrushNet, unet: MotionUNet) -> None:
        super().__init__()
        self.brushnet, self.unet = brushnet, unet

    def predict(
        self, sample: torch.Tensor, cond: torch.Tensor, text: torch.Tensor, timestep: torch.Tensor, num_frames: int
    ) -> torch.Tensor:
        """The noise in `sample` (B * T, 4, h, w), given cond (B * T, 5, h, w) and one text row for each of B."""
        residuals = self.brushnet(sample, timestep, text, cond)
        return self.unet(sample, timestep, text, num_frames, residuals)


class Denoiser:
    """Runs the networks over windows, for any number of clips."""

    def __init__(
        self, brushnet: BrushNet, unet: MotionUNet, settings: EraserSettings, steps: Steps = run_directly
    ) -> None:
        """steps: how one pass through the networks is run."""
        self._networks = Networks(brushnet, unet)
        self._settings = settings
        self._steps = steps

    def __call__(
        self,
        latents: LatentStore,
        cond: LatentStore,
        text: TextGuidance,
        windows: Windows,
        *,
        anchor: AnchorLatents | None = None,
        stochastic: Stochastic | None = None,
        on_step: Callable[[int, LatentStore], None] = lambda _index, _latents: None,
        on_window: Callable[[], None] = lambda: None,
    ) -> LatentStore:
        """Denoise N frames.

        Args:
            latents: (N, 4, h, w), noisy.
            cond: (N, 5, h, w): latent of the masked frame, mask (1 = known).
            on_step: told the index of every finished step and its latents.
            on_window: called after every window.

        Returns:
            the latents after the last step; what was given is left as it is.
        """
        conditioning = condition_on(text, self._settings.cfg_gate)
        levels = timesteps(self._settings.steps)
        for index, (t, following) in enumerate(zip(levels, (*levels[1:], 0), strict=True)):
            after = _Blend(latents.like(), smooth=self._settings.blend == "smooth")
            for number, window in enumerate(windows.of_step(index)):
                seen = None if anchor and anchor.first_window_only and number else anchor
                sample = latents.read(window)
                eps = self._predict(sample, cond.read(window), conditioning, t, seen)
                draw = stochastic.draw(sample.shape) if stochastic else None
                eta = stochastic.eta if stochastic else 0.0
                after.add(window, tcd_step(sample, eps.float(), t, following, eta, draw))
                on_window()
            latents = after.store
            on_step(index, latents)
        return latents

    def _predict(
        self, sample: torch.Tensor, cond: torch.Tensor, text: Conditioning, t: int, anchor: AnchorLatents | None
    ) -> torch.Tensor:
        """The noise in a window (T, 4, h, w), guidance included; the anchor's row is put in front and dropped again."""
        if anchor:
            sample = torch.cat([noise_to(anchor.latent, anchor.noise, t), sample])
            known = torch.cat([anchor.latent, torch.ones_like(anchor.latent[:, :1])], dim=1)
            cond = torch.cat([known, cond])
        copies, frames = len(text.rows), len(sample)
        rows = text.rows.to(sample.device)
        sample, cond = (x.to(rows.dtype).repeat(copies, 1, 1, 1) for x in (sample, cond))
        timestep = torch.full((1,), t, device=sample.device)
        eps = text.join(self._steps(self._networks, "predict", sample, cond, rows, timestep, frames))
        return eps[1:] if anchor else eps


class _Blend:
    """Joins the windows of one step; only the last one is kept on the device."""

    def __init__(self, store: LatentStore, *, smooth: bool) -> None:
        self.store = store
        self._smooth = smooth
        self._last: torch.Tensor | None = None
        self._covered = range(0)

    def add(self, window: range, values: torch.Tensor) -> None:
        """Windows come in order, of one length: what they share with earlier ones, they share with the last."""
        shared = self._covered.stop - window.start
        if self._last is not None and shared > 0:
            weights = torch.from_numpy(new_window_weights(shared, len(window), self._smooth)[:shared])
            weights = weights.to(values.device, non_blocking=True)[:, None, None, None]
            before = self._last[window.start - self._covered.start :]
            mixed = (1 - weights) * before + weights * values[:shared]
            values = torch.cat([mixed, values[shared:]])
        self._last, self._covered = values, window
        self.store.write(window.start, values)
