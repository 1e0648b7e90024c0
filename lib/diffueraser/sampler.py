"""The TCD sampler as plain formulas: noise levels, how noise is added, and how a step takes it away.

A noise level t is 0 (nearly clean) to 999 (nearly noise): latents x at level t are
`sqrt(a_t) x0 + sqrt(1 - a_t) noise`, with a_t from Stable Diffusion's schedule.
"""

from functools import lru_cache
from math import floor, sqrt

import numpy as np
import torch
from torch import Tensor

TRAINING_STEPS = 1000
MOST_STEPS = 50  # the distilled model knows every 20th of the training steps
FIRST_BETA, LAST_BETA = 0.00085, 0.012


def timesteps(steps: int) -> tuple[int, ...]:
    """The noise levels at which the steps of a run begin, falling from 999; after the last step the level is 0.

    Raises:
        ValueError: `steps` is not 1 to 50.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"{steps} denoising steps; expected 1 to {MOST_STEPS}")
    spacing = TRAINING_STEPS // MOST_STEPS
    return tuple(TRAINING_STEPS - 1 - spacing * (step * MOST_STEPS // steps) for step in range(steps))


def alpha_cumprod(t: int) -> float:
    """a_t: the share of the signal's power at noise level t (0..999)."""
    return _alphas()[t]


def add_noise(latents: Tensor, noise: Tensor) -> Tensor:
    """Latents at level 999, the start of every run, in their own type.

    The published program asks for noise "at timestep 0" of a scheduler whose table runs the other way round, and so
    gets the strongest; its sigma is rounded to the type of the latents before anything is computed from it.
    """
    a = alpha_cumprod(TRAINING_STEPS - 1)
    sigma = torch.tensor(sqrt((1 - a) / a), dtype=latents.dtype)
    alpha = 1 / (sigma**2 + 1) ** 0.5
    return float(alpha) * latents + float(sigma * alpha) * noise


def noise_to(latents: Tensor, noise: Tensor, t: int) -> Tensor:
    """Latents at noise level t."""
    a = alpha_cumprod(t)
    return sqrt(a) * latents + sqrt(1 - a) * noise


def tcd_step(sample: Tensor, eps: Tensor, t: int, next_t: int, eta: float = 0.0, draw: Tensor | None = None) -> Tensor:
    """Latents of the next noise level.

    Args:
        sample: latents at level t.
        eps: the noise that the network sees in them, of the same shape.
        t: the level of this step.
        next_t: the level of the next, 0 after the last.
        eta: 0 to 1, the share of the way that is made good with fresh noise; the published runs use 0.
        draw: that noise, N(0, 1) and of the same shape; needed with eta above 0 in every step but the last.

    Raises:
        ValueError: `eta` is out of its range, or `draw` is missing.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}; expected 0 to 1")
    a_t, a_next, a_reached = (alpha_cumprod(level) for level in (t, next_t, floor((1 - eta) * next_t)))
    keep = sqrt(a_reached / a_t)
    reached = keep * sample + (sqrt(1 - a_reached) - keep * sqrt(1 - a_t)) * eps
    if eta == 0 or next_t == 0:
        return reached
    if draw is None:
        raise ValueError(f"eta is {eta}: a step to level {next_t} needs a draw of noise")
    return sqrt(a_next / a_reached) * reached + sqrt(1 - a_next / a_reached) * draw


@lru_cache
def _alphas() -> tuple[float, ...]:
    betas = np.linspace(sqrt(FIRST_BETA), sqrt(LAST_BETA), TRAINING_STEPS) ** 2
    return tuple(np.cumprod(1 - betas).tolist())
