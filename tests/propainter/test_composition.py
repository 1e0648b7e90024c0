"""Several visits of a frame become one picture."""

import pytest
import torch

from lib.propainter.composition import MeanOfVisits, RunningAverage


@pytest.fixture
def visits():
    """Three visits of one frame of 1x2 pixels, the left one a hole: levels as the networks give them, -1..1."""
    levels = torch.tensor([10.6, 20.6, 41.6])
    painted = (levels / 127.5 - 1)[:, None, None, None, None].expand(3, 1, 3, 1, 2)
    original = torch.full((1, 1, 2, 3), 200, dtype=torch.uint8)
    return painted, original, torch.tensor([[[True, False]]])


def compose(composition, visits):
    painted, original, hole = visits
    for visit in painted:
        composition.add(7, visit, original, hole)
    return composition.take(7)[0].tolist()


def test_all_visits_count_the_same_and_are_rounded_once(visits):
    assert compose(MeanOfVisits(), visits) == [[24] * 3, [200] * 3]  # 24.27


def test_the_reference_cuts_every_visit_and_halves_what_was_before(visits):
    assert compose(RunningAverage(), visits) == [[28] * 3, [200] * 3]  # ((10 + 20) // 2 + 41) // 2


def test_frames_leave_the_composition(visits):
    composition = MeanOfVisits()
    compose(composition, visits)
    with pytest.raises(KeyError):
        composition.take(7)
