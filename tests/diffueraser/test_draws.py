"""Random draws depend on their names only: not on order, batches or other draws."""

import pytest
import torch

from lib.diffueraser.draws import SeededDraws

SHAPE = (4, 6, 5)
PURPOSES = ("prior", "pre_conditioning", "conditioning")


def all_draws(draws, count=3):
    named = {("noise", index): draws.noise(index, SHAPE) for index in range(count)}
    for purpose in PURPOSES:
        named |= {(purpose, index): draws.posterior(purpose, index, SHAPE) for index in range(count)}
    return named | {("anchor", 0): draws.anchor(SHAPE)}


def test_order_and_repetition_do_not_matter():
    draws, others = SeededDraws(42, "boat"), SeededDraws(42, "boat")
    first = all_draws(draws)
    for (purpose, index), expected in reversed(first.items()):
        get = {"noise": others.noise}.get(purpose, lambda at, shape, of=purpose: others.posterior(of, at, shape))
        again = others.anchor(SHAPE) if purpose == "anchor" else get(index, SHAPE)
        assert torch.equal(again, expected)
    assert all(torch.equal(value, first[name]) for name, value in all_draws(draws).items())


def test_no_global_state_is_read_or_changed():
    before = torch.get_rng_state()
    draws = all_draws(SeededDraws(1, "boat"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(SeededDraws(1, "boat").noise(0, SHAPE), draws["noise", 0])


def test_every_name_has_a_stream_of_its_own():
    values = list(all_draws(SeededDraws(42, "boat")).values())
    values += list(all_draws(SeededDraws(43, "boat")).values())
    values += list(all_draws(SeededDraws(42, "bear")).values())
    assert len({value.numpy().tobytes() for value in values}) == len(values)


def test_draws_are_normal_numbers_on_the_cpu():
    many = torch.stack([SeededDraws(0, "boat").noise(index, (4, 32, 32)) for index in range(8)])
    assert (many.dtype, many.device.type) == (torch.float32, "cpu")
    assert many.mean().item() == pytest.approx(0, abs=0.02)
    assert many.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("seed", [0, -1, 2**70])
def test_any_whole_number_is_a_seed(seed):
    assert SeededDraws(seed, "").anchor(SHAPE).shape == SHAPE
