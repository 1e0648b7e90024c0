"""Sizes and lengths that videos are processed at."""

import pytest
from eraser_goldens import each_golden, load_table

from lib.diffueraser.reference_inputs import fit_size, frames_to_read, noise_periods
from lib.errors import InputError

SECONDS, FPS, NFRAMES = 10, 29.97, 22  # of all rows of the table


@each_golden("sizing")
def test_sizes(golden_path):
    for width, height, max_img_size, expected, *lengths in load_table(golden_path):
        if isinstance(expected, str):  # the reference's refusal
            with pytest.raises(InputError, match=f"{width}x{height}|{max_img_size}"):
                fit_size(width, height, max_img_size)
            continue
        assert list(fit_size(width, height, max_img_size)) == expected
        periods, frames, processed = lengths
        assert frames_to_read(SECONDS, FPS) == frames
        assert noise_periods(frames, NFRAMES) == periods
        assert processed == expected
