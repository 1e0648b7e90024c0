import numpy as np
import pytest
from video_inputs import box_masks, moving_frames

from lib.video.comparison import cell_size, comparison_frames, mask_overlay


@pytest.mark.parametrize(
    ("frame", "cell"),
    [
        ((1080, 1920), (540, 960)),
        ((1920, 1080), (540, 302)),
        ((480, 1920), (240, 960)),
        ((240, 432), (240, 432)),
        ((33, 51), (32, 50)),
    ],
)
def test_cells_are_even_and_keep_the_shape(frame, cell):
    assert cell_size(frame) == cell


def test_grid_holds_the_panels_in_reading_order():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (120, 120, 120)]
    panels = [(f"P{i}", [np.full((200, 300, 3), colour, np.uint8)] * 2) for i, colour in enumerate(colours)]
    frames = list(comparison_frames(panels))
    assert [frame.shape for frame in frames] == [(400, 600, 3)] * 2
    for (row, column), colour in zip(((0, 0), (0, 300), (200, 0), (200, 300)), colours, strict=True):
        cell = frames[0][row : row + 200, column : column + 300]
        assert (cell[100:] == colour).all()
        assert (cell[:60].min(axis=-1) > 180).any()  # the label


def test_panels_of_another_size_are_brought_to_the_first_ones():
    panels = [
        ("a", moving_frames(1)),
        ("b", moving_frames(1, 96, 128)),
        ("c", moving_frames(1)),
        ("d", moving_frames(1)),
    ]
    assert next(comparison_frames(panels)).shape == (96, 128, 3)


def test_grid_is_streamed():
    taken = []
    source = (taken.append(index) or frame for index, frame in enumerate(moving_frames(4)))
    panels = [("a", source), *(("b", moving_frames(4)),) * 3]
    next(comparison_frames(panels))
    assert taken == [0]


def test_three_panels_are_refused():
    with pytest.raises(ValueError, match="found 3 panels, expected 4"):
        next(comparison_frames([("a", moving_frames(1))] * 3))


def test_overlay_reddens_the_object_only():
    frame, mask = np.full((48, 64, 3), 100, np.uint8), box_masks(1, 48, 64)[0]
    shown = mask_overlay(frame, mask)
    assert (shown[~mask] == 100).all()
    assert (shown[15, 20] == (178, 50, 50)).all()
    assert (shown[10, 20] == (255, 0, 0)).all()  # outline
    assert (frame == 100).all()
    assert np.array_equal(mask_overlay(frame, np.zeros_like(mask)), frame)
