"""The sampler's formulas, against diffusers' scheduler and against what they stand for."""

import pytest
import torch
from diffusers import TCDScheduler

from lib.diffueraser.sampler import add_noise, alpha_cumprod, noise_to, tcd_step, timesteps


@pytest.fixture
def scheduler():
    return TCDScheduler(1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def draw(seed, dtype=torch.float32):
    return torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_timesteps_are_the_schedulers(scheduler):
    for steps in range(1, 51):
        scheduler.set_timesteps(steps)
        assert list(timesteps(steps)) == scheduler.timesteps.tolist()


@pytest.mark.parametrize("steps", [0, -1, 51])
def test_impossible_numbers_of_steps(steps):
    with pytest.raises(ValueError, match=str(steps)):
        timesteps(steps)


def test_noise_levels_are_the_schedulers(scheduler):
    for t in (0, 1, 499, 998, 999):
        assert alpha_cumprod(t) == pytest.approx(float(scheduler.alphas_cumprod[t]), rel=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_steps_are_the_schedulers(scheduler, steps, eta):
    scheduler.set_timesteps(steps)
    levels = timesteps(steps)
    ours = theirs = draw(0)
    generator, same = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    for step, (level, following) in enumerate(zip(levels, (*levels[1:], 0), strict=True)):
        eps = draw(1 + step)
        theirs = scheduler.step(eps, level, theirs, eta=eta, generator=generator).prev_sample
        noise = torch.randn(ours.shape, generator=same) if eta and following else None
        ours = tcd_step(ours, eps, level, following, eta, noise)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


def test_a_step_from_true_noise_arrives_at_the_next_level():
    clean, noise = draw(0, torch.float64), draw(1, torch.float64)
    reached = tcd_step(noise_to(clean, noise, 999), noise, 999, 499)
    torch.testing.assert_close(reached, noise_to(clean, noise, 499), atol=1e-9, rtol=0)


def test_a_step_with_fresh_noise_needs_it():
    with pytest.raises(ValueError, match="draw"):
        tcd_step(draw(0), draw(1), 999, 499, eta=0.3)
    with pytest.raises(ValueError, match=r"1\.5"):
        tcd_step(draw(0), draw(1), 999, 499, eta=1.5, draw=draw(2))


def test_a_run_starts_from_the_strongest_noise():
    clean, noise = draw(0), draw(1)
    torch.testing.assert_close(add_noise(clean, noise), 0.06826489 * clean + 0.99766720 * noise, atol=1e-6, rtol=0)
    torch.testing.assert_close(add_noise(clean, noise), noise_to(clean, noise, 999), atol=1e-5, rtol=0)


def test_half_precision_rounds_sigma_first():
    clean, noise = torch.ones(1, dtype=torch.float16), torch.zeros(1, dtype=torch.float16)
    assert add_noise(clean, noise).item() == 0.0682373046875
    assert add_noise(noise, clean).item() == 0.99755859375
    assert add_noise(clean, noise).dtype == torch.float16
