"""The sampler's formulas."""

import numpy as np
from eraser_goldens import Golden, each_golden

from lib.diffueraser.sampler import add_noise, tcd_step, timesteps


@each_golden("scheduler")
def test_sampler(golden_path):
    golden = Golden(golden_path)
    levels = timesteps(golden.meta["steps"])
    values = {
        "timesteps": np.array(levels),
        "add_noise_t0": add_noise(golden.tensor("orig"), golden.tensor("noise")),
    }
    sample = golden.tensor("sample")
    for step, (level, following) in enumerate(zip(levels, (*levels[1:], 0), strict=True)):
        sample = tcd_step(sample, golden.tensor(f"eps_{step:02}"), level, following)
        values[f"prev_{step:02}"] = sample
    golden.check_all(values)
