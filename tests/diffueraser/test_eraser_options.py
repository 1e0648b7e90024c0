"""Each option changes what it should and nothing else."""

import numpy as np
import pytest
import torch
from eraser_runs import HEIGHT, SHAPE, WIDTH, encode, erase, masked_latents
from stand_ins import Call

from lib.diffueraser.draws import SeededDraws
from lib.diffueraser.pictures import to_images
from lib.diffueraser.pipeline import AnchorFrame
from lib.diffueraser.sampler import add_noise
from lib.diffueraser.settings import EraserSettings
from lib.diffueraser.windows import pre_inference_indices

COUNT = 45
SAMPLED = list(pre_inference_indices(COUNT, 22))
PICTURE = np.random.default_rng(9).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def same(one: Call, other: Call, *names: str) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture(scope="module")
def plain():
    with torch.inference_mode():
        return erase(COUNT)


def test_a_smooth_blend_leaves_every_pass_of_the_first_step(plain):
    run = erase(COUNT, blend="smooth")
    assert run.asked == plain.asked
    pairs = list(zip(plain.calls, run.calls, strict=True))
    assert all(same(*pair, "sample", "cond", "text") for pair in pairs[:5])  # pre-inference is one window
    assert not all(same(*pair, "sample") for pair in pairs[5:])
    assert all(same(*pair, "cond", "text") for pair in pairs)
    assert not np.array_equal(run.frames, plain.frames)


def test_the_most_likely_latents_need_no_draws(plain):
    run = erase(COUNT, posterior="mode")
    assert {name for name, _ in run.asked} == {"noise"}
    assert run.names("noise") == plain.names("noise")
    before = run.calls[0].cond
    assert torch.equal(before[:, 4:], plain.calls[0].cond[:, 4:])
    torch.testing.assert_close(before[:, :4], masked_latents(run.clip, SAMPLED, None), atol=1e-4, rtol=1e-4)
    prior = encode(to_images(torch.from_numpy(run.clip.prior)), None)[SAMPLED]
    noise = torch.stack([SeededDraws(42, "boat").noise(index, SHAPE) for index in range(22)])
    torch.testing.assert_close(run.loops[0][0], add_noise(prior, noise), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(run.loops[0][0], plain.loops[0][0], atol=1e-3)


def test_fresh_noise_differs_behind_the_first_window_only():
    repeated, fresh = erase(40), erase(40, noise="fresh")
    assert fresh.names("noise") == set(range(40))
    assert repeated.names("noise") == set(range(22))
    start, other = repeated.loops[0][0], fresh.loops[0][0]
    assert torch.equal(start[:22], other[:22])
    assert not (start[22:] == other[22:]).flatten(1).all(1).any()
    assert all(same(*pair, "cond", "text") for pair in zip(repeated.calls, fresh.calls, strict=True))


def test_pre_inference_starts_from_the_same_noise_either_way(plain):
    run = erase(COUNT, noise="fresh")
    assert torch.equal(run.loops[0][0], plain.loops[0][0])


def test_a_cell_is_hole_if_any_of_its_pixels_is():
    nearest, any_pixel = erase(30), erase(30, latent_mask="any")
    assert any_pixel.asked == nearest.asked
    assert torch.equal(any_pixel.loops[0][0], nearest.loops[0][0])
    before, after = nearest.calls[0].cond, any_pixel.calls[0].cond
    assert torch.equal(after[:, :4], before[:, :4])
    holes = torch.from_numpy(nearest.clip.masks[:22]).reshape(22, HEIGHT // 8, 8, WIDTH // 8, 8)
    assert torch.equal(after[:, 4] == 0, holes.any(4).any(2))
    assert torch.equal(before[:, 4] == 0, holes[:, :, 0, :, 0])
    assert not torch.equal(after, before)


def test_frames_of_pre_inference_can_skip_the_rounding(plain):
    run = erase(COUNT, pre_inference_frames="exact")
    assert run.asked == plain.asked
    assert torch.equal(run.loops[0][1], plain.loops[0][1])
    assert torch.equal(run.loops[1][0], plain.loops[1][0])
    before, after = plain.calls[2].cond, run.calls[2].cond
    differs = (before != after).flatten(1).any(1).nonzero().flatten().tolist()
    assert differs == [index for index in SAMPLED if index < 22]
    assert torch.equal(before[:, 4:], after[:, 4:])
    torch.testing.assert_close(after, before, atol=0.02, rtol=0)


def test_the_anchor_can_stay_out_of_pre_inference_and_later_windows():
    windows = erase(COUNT, AnchorFrame(PICTURE, 0))
    main = erase(COUNT, AnchorFrame(PICTURE, 0), anchor_scope="main")
    assert [call.num_frames for call in windows.calls] == [23] * 8
    assert [call.num_frames for call in main.calls] == [22, 22] + [23, 22, 22] * 2
    assert sorted(main.asked) == sorted(windows.asked)
    assert np.array_equal(main.frames[0], PICTURE)


@pytest.mark.parametrize(("scale", "rows"), [(0.0, 1), (0.5, 1), (1.0, 1), (2.0, 2)])
def test_the_gate_decides_about_words_only(scale, rows):
    exact, reference = erase(30, scale=scale), erase(30, scale=scale, cfg_gate="reference")
    assert [len(call.text) for call in reference.calls] == [rows] * 4
    assert torch.equal(exact.loops[0][0], reference.loops[0][0])
    assert exact.asked == reference.asked
    assert torch.equal(exact.calls[0].of_item()[1], reference.calls[0].of_item()[1])
    assert np.array_equal(exact.frames, reference.frames) == (scale >= 1)


def test_a_window_can_be_shorter_and_steps_more():
    run = erase(30, nframes=8, steps=4)
    assert [call.timestep for call in run.calls][:4] == [999, 759, 499, 259]
    assert {call.num_frames for call in run.calls} == {8}
    assert run.names("noise") == set(range(8))


@pytest.mark.parametrize("options", [{"nframes": 0}, {"nframes": 33}, {"steps": 0}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        EraserSettings(**options)
