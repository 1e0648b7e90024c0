"""What holds for the networks whatever their weights and sizes: what they compute, and which rows depend on which."""

import pytest
import torch
from diffusers import AutoencoderKL
from eraser_goldens import autoencoder, brushnet, motion_unet
from hashed_weights import normal
from plain_networks import run_brushnet, run_unet

from lib.diffueraser.brushnet import Residuals
from lib.diffueraser.config import NetConfig
from lib.diffueraser.motion import MotionModule

CONFIG = NetConfig(
    block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8, cross_attention_dim=16, heads=4, motion_heads=4
)
FRAMES, HEIGHT, WIDTH = 3, 5, 7


def numbers(key, *shape):
    return torch.from_numpy(normal(key, shape))


@pytest.fixture(scope="module")
def inputs():
    count = 2 * FRAMES
    return {
        "sample": numbers("sample", count, 4, HEIGHT, WIDTH),
        "text": numbers("text", 2, 7, 16),
        "cond": numbers("cond", count, 5, HEIGHT, WIDTH),
    }


def residuals_of(inputs, rows=slice(None), text=None):
    text = inputs["text"] if text is None else text
    return brushnet(CONFIG, 0)(inputs["sample"][rows], 499, text, inputs["cond"][rows])


def everything(residuals):
    return [*residuals.down, residuals.mid, *residuals.up]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "frames", "size"),
    [
        (NetConfig((32, 64), 3, 8, 8, heads=1, motion_heads=2, motion_max_seq_length=8), 8, (2, 1)),
        (NetConfig((16, 32, 64), 1, 4, 40, heads=2, motion_heads=1), 5, (9, 4)),
        (NetConfig((32, 32, 32, 64, 64), 1, 32, 24, heads=8, motion_heads=4), 2, (17, 33)),
        (NetConfig((64,), 2, 8, 16, heads=4, motion_heads=8, motion_max_seq_length=24), 1, (3, 2)),
    ],
    ids=["three-layers", "three-levels", "five-levels", "one-level"],
)
def test_any_sizes_compute_what_diffusers_modules_compute(config, frames, size):
    brush, unet = brushnet(config, 5), motion_unet(config, 6)
    sample, cond = numbers("sample", 2 * frames, 4, *size), numbers("cond", 2 * frames, 5, *size)
    text = numbers("text", 2, 7, config.cross_attention_dim)
    residuals = brush(sample, 759, text, cond, scale=0.5)
    plain = run_brushnet(brush, sample, 759, text.repeat_interleave(frames, dim=0), cond, scale=0.5)
    close(everything(residuals), everything(plain))
    close([unet(sample, 759, text, frames, residuals)], [run_unet(unet, sample, 759, text, frames, plain)])


@pytest.mark.parametrize(
    ("widths", "layers", "groups", "size"),
    [((8, 8, 16, 16), 2, 4, (16, 24)), ((4, 8, 12), 3, 2, (12, 4)), ((8,), 1, 8, (3, 5))],
)
def test_the_autoencoder_computes_what_diffusers_does(widths, layers, groups, size):
    config = {
        "block_out_channels": widths,
        "layers_per_block": layers,
        "norm_num_groups": groups,
        "latent_channels": 4,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
    }
    ours, theirs = autoencoder(config, 7), AutoencoderKL(**config).eval()
    theirs.load_state_dict(ours.state_dict())
    images = numbers("images", 2, 3, *size).clamp(-1, 1)
    posterior = theirs.encode(images).latent_dist
    close(ours.moments(images), [posterior.mean, posterior.std])
    close([ours.decode(posterior.mean)], [theirs.decode(posterior.mean).sample])


def test_a_row_of_text_serves_neighbouring_frames(inputs):
    repeated = residuals_of(inputs, text=inputs["text"].repeat_interleave(FRAMES, dim=0))
    close(everything(residuals_of(inputs)), everything(repeated))


def test_brushnet_sees_each_frame_by_itself(inputs):
    alone = residuals_of(inputs, slice(1, 2), inputs["text"][:1])
    close(everything(alone), [part[1:2] for part in everything(residuals_of(inputs))])


def test_a_level_of_noise_may_be_a_number_or_a_tensor(inputs):
    as_tensor = brushnet(CONFIG, 0)(inputs["sample"], torch.tensor(499), inputs["text"], inputs["cond"])
    close(everything(as_tensor), everything(residuals_of(inputs)))


def test_clips_of_a_batch_do_not_see_each_other(inputs):
    unet, residuals = motion_unet(CONFIG, 1), residuals_of(inputs)
    both = unet(inputs["sample"], 499, inputs["text"], FRAMES, residuals)
    for item in range(2):
        rows = slice(item * FRAMES, (item + 1) * FRAMES)
        part = Residuals(
            tuple(value[rows] for value in residuals.down),
            residuals.mid[rows],
            tuple(value[rows] for value in residuals.up),
        )
        close([unet(inputs["sample"][rows], 499, inputs["text"][item : item + 1], FRAMES, part)], [both[rows]])


def test_frames_of_a_clip_see_each_other_and_residuals_matter(inputs):
    unet, residuals = motion_unet(CONFIG, 1), residuals_of(inputs)
    before = unet(inputs["sample"], 499, inputs["text"], FRAMES, residuals)
    changed = inputs["sample"].clone()
    changed[0] += 1
    assert not torch.allclose(unet(changed, 499, inputs["text"], FRAMES, residuals)[1], before[1], atol=1e-3)
    assert not torch.allclose(unet(inputs["sample"], 499, inputs["text"], FRAMES), before, atol=1e-3)


def test_residuals_can_be_used_again(inputs):
    unet, residuals = motion_unet(CONFIG, 1), residuals_of(inputs)
    copies = [part.clone() for part in everything(residuals)]
    first = unet(inputs["sample"], 499, inputs["text"], FRAMES, residuals)
    assert all(torch.equal(part, copy) for part, copy in zip(everything(residuals), copies, strict=True))
    assert torch.equal(unet(inputs["sample"], 499, inputs["text"], FRAMES, residuals), first)


def test_more_frames_than_positions_are_refused():
    module = MotionModule(16, heads=2, norm_num_groups=4, max_length=8)
    assert module(numbers("x", 8, 16, 2, 2), 8).shape == (8, 16, 2, 2)
    with pytest.raises(ValueError, match="9 frames"):
        module(numbers("x", 9, 16, 2, 2), 9)
