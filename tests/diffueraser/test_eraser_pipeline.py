"""Whole runs around stand-ins for both networks: pre-inference, anchor, draws; `test_eraser_options` has the rest."""

import numpy as np
import pytest
import torch
from eraser_runs import HEIGHT, SHAPE, WIDTH, encode, erase, make_clip, masked_latents, tiny_vae, words
from stand_ins import Recorder

from lib.diffueraser import coding
from lib.diffueraser.draws import SeededDraws
from lib.diffueraser.models import EraserModels
from lib.diffueraser.pictures import to_bytes, to_images
from lib.diffueraser.pipeline import AnchorFrame, Clip, DiffuEraser
from lib.diffueraser.sampler import add_noise, noise_to
from lib.diffueraser.settings import EraserSettings
from lib.diffueraser.windows import pre_inference_indices

DRAWS = SeededDraws(42, "boat")
PICTURE = np.random.default_rng(9).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def noise(indices):
    return torch.stack([DRAWS.noise(index, SHAPE) for index in indices])


def posterior(purpose, count):
    return torch.stack([DRAWS.posterior(purpose, index, SHAPE) for index in range(count)])


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def prior_latents(clip):
    return encode(to_images(torch.from_numpy(clip.prior)), posterior("prior", len(clip.prior)))


def known_of(clip, indices):
    return 1 - torch.from_numpy(clip.masks[indices][:, None, ::8, ::8]).float()


@pytest.mark.parametrize("count", [1, 4, 21, 30])
def test_networks_start_from_the_noisy_prior_and_the_masked_frames(count):
    run, every = erase(count), list(range(count))
    (start, _end), first = run.loops[0], run.calls[0]
    close(start, add_noise(prior_latents(run.clip), noise([index % min(count, 22) for index in every])))
    shown = every[: first.num_frames]
    close(first.cond[:, :4], masked_latents(run.clip, every, posterior("conditioning", count))[shown])
    assert torch.equal(first.cond[:, 4:], known_of(run.clip, shown))


@pytest.mark.parametrize("count", [1, 4, 21, 22])
def test_a_clip_no_longer_than_a_window_is_denoised_whole(count):
    run = erase(count, steps=4)
    assert [call.num_frames for call in run.calls] == [count] * 4
    assert run.frames.shape == (count, HEIGHT, WIDTH, 3)


def test_a_long_clip_is_first_denoised_at_frames_spread_over_it():
    run, chosen = erase(45), list(pre_inference_indices(45, 22))
    (start, made), (main_start, end) = run.loops
    clean = prior_latents(run.clip)
    close(start, add_noise(clean[chosen], noise(range(22))))
    before, after = run.calls[0], run.calls[2]
    close(before.cond[:, :4], masked_latents(run.clip, chosen, posterior("pre_conditioning", 22)))
    assert torch.equal(before.cond[:, 4:], known_of(run.clip, chosen))
    clean[chosen] = made
    close(main_start, add_noise(clean, noise([index % 22 for index in range(45)])))
    assert end.shape == main_start.shape
    check_conditioning_on_what_was_made(run, chosen, made, after.cond)


def check_conditioning_on_what_was_made(run, chosen, made, cond):
    """Pre-denoised frames are known everywhere; they are decoded to bytes and encoded again."""
    window = range(len(cond))
    shown = [place for place, index in enumerate(chosen) if index in window]
    draws = posterior("conditioning", 45)
    expected = masked_latents(run.clip, list(window), draws[: len(cond)])
    known = known_of(run.clip, list(window))
    decoded = to_images(to_bytes(tiny_vae().decode(made / 0.18215)))
    indices = [chosen[place] for place in shown]
    expected[indices] = encode(decoded[shown], draws[indices])
    known[indices] = 1
    close(cond[:, :4], expected)
    assert torch.equal(cond[:, 4:], known)


@pytest.mark.parametrize("count", [30, 45])
def test_a_clip_is_left_as_it_is(count):
    run, clip = erase(count), make_clip(count)
    assert all(np.array_equal(getattr(run.clip, part), getattr(clip, part)) for part in ("frames", "masks", "prior"))


@pytest.mark.parametrize("count", [5, 45])
def test_every_pass_sees_the_anchor(count):
    run = erase(count, AnchorFrame(PICTURE, 3))
    latent = encode(to_images(torch.from_numpy(PICTURE[None])), None)
    for call in run.calls:
        assert call.num_frames == min(count, 22) + 1
        close(call.sample[:1], noise_to(latent, DRAWS.anchor(SHAPE)[None], call.timestep))
        close(call.cond[:1], torch.cat([latent, torch.ones_like(latent[:, :1])], dim=1))
    assert len(run.calls) == len(erase(count).calls)


def test_the_anchors_frame_is_its_picture():
    plain, run = erase(30), erase(30, AnchorFrame(PICTURE, 17))
    assert np.array_equal(run.frames[17], PICTURE)
    assert not np.array_equal(plain.frames[17], PICTURE)
    others = [index for index in range(30) if index != 17]
    moved = erase(30, AnchorFrame(PICTURE, 2))
    assert np.array_equal(np.delete(moved.frames, [2, 17], 0), np.delete(run.frames, [2, 17], 0))
    assert not np.array_equal(run.frames[others], plain.frames[others])


def test_the_anchor_draws_for_itself_only():
    plain, run = erase(45), erase(45, AnchorFrame(PICTURE, 0))
    assert set(run.asked) - set(plain.asked) == {("anchor", 0)}
    assert set(plain.asked) <= set(run.asked)
    close(run.loops[0][0], plain.loops[0][0])


@pytest.mark.parametrize(("count", "fits"), [(31, True), (32, False), (40, False)])
def test_an_anchor_needs_a_place_in_the_window(count, fits):
    if fits:
        assert {call.num_frames for call in erase(count, AnchorFrame(PICTURE, 0), nframes=32).calls} == {32}
        return
    with pytest.raises(ValueError, match="31"):
        erase(count, AnchorFrame(PICTURE, 0), nframes=32)


def test_draws_do_not_depend_on_batches(monkeypatch):
    run = erase(45)
    monkeypatch.setattr(coding, "PIXELS_ENCODED_AT_ONCE", 3 * HEIGHT * WIDTH)
    monkeypatch.setattr(coding, "PIXELS_DECODED_AT_ONCE", 1)
    other = erase(45)
    assert sorted(other.asked) == sorted(run.asked)
    assert np.abs(other.frames.astype(int) - run.frames).max() <= 1
    for (start, end), (other_start, other_end) in zip(run.loops, other.loops, strict=True):
        torch.testing.assert_close(other_start, start, atol=1e-3, rtol=0)
        torch.testing.assert_close(other_end, end, atol=1e-2, rtol=0)  # the first step multiplies differences by 15


def test_a_run_draws_what_it_needs():
    run = erase(45)
    assert run.names("noise") == set(range(22))
    assert run.names("prior") == run.names("conditioning") == set(range(45))
    assert run.names("pre_conditioning") == set(range(22))
    assert run.names("anchor") == set()


def test_a_seed_and_a_name_decide_the_result():
    run = erase(24)
    assert np.array_equal(erase(24).frames, run.frames)
    assert not np.array_equal(erase(24, seed=43).frames, run.frames)
    assert not np.array_equal(erase(24, video="bear").frames, run.frames)


@pytest.mark.parametrize("count", [1, 45])
def test_progress_rises_to_the_end(count):
    shares = erase(count).shares
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"frames": np.zeros((0, 8, 8, 3), np.uint8)},
        {"frames": np.zeros((3, 8, 12, 3), np.uint8)},
        {"masks": np.zeros((3, 8, 8), np.uint8)},
        {"masks": np.zeros((2, 8, 8), bool)},
        {"prior": np.zeros((3, 8, 16, 3), np.uint8)},
    ],
    ids=["empty", "not-in-eights", "not-bool", "too-few-masks", "other-size"],
)
def test_parts_of_a_clip_must_fit(change):
    parts = {name: np.zeros((3, 8, 8, 3), np.uint8) for name in ("frames", "prior")}
    with pytest.raises(ValueError, match=r"\("):
        Clip(**{**parts, "masks": np.zeros((3, 8, 8), bool), **change})


def test_one_eraser_serves_many_clips():
    recorder = Recorder()
    eraser = DiffuEraser(EraserModels(recorder.brushnet, recorder.unet, tiny_vae()), EraserSettings(precision="fp32"))
    frames = [eraser(make_clip(count), words(0.0), SeededDraws(42, "boat")).frames for count in (45, 3, 45)]
    assert np.array_equal(frames[0], frames[2])
    assert np.array_equal(frames[1], erase(3).frames)
