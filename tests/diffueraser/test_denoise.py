"""The denoising loop around stand-ins for both networks: what each pass sees, and what becomes of the answers."""

import pytest
import torch
from stand_ins import Recorder, predicted

from lib.diffueraser.denoise import AnchorLatents, Denoiser
from lib.diffueraser.guidance import TextGuidance
from lib.diffueraser.latents import LatentStore
from lib.diffueraser.sampler import noise_to, tcd_step, timesteps
from lib.diffueraser.settings import EraserSettings
from lib.diffueraser.windows import new_window_weights, window_lists

H, W, DIM = 3, 2, 4


def numbers(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def words(scale=0.0, same=False):
    positive = numbers(1, 1, 7, DIM)
    negative = positive.clone() if same else numbers(2, 1, 7, DIM)
    return TextGuidance(positive, negative, scale, numbers(3, 1, 7, DIM))


ANCHOR = AnchorLatents(numbers(4, 1, 4, H, W), numbers(5, 1, 4, H, W))


class Run:
    """One run of the loop: the networks' passes, the latents at the start and after every step."""

    def __init__(self, count=45, text=None, anchor=None, **options):
        settings = EraserSettings(**options)
        recorder = Recorder()
        self.latents, self.cond = numbers(6, count, 4, H, W), numbers(7, count, 5, H, W)
        self.windows = window_lists(count, settings.nframes)
        self.text = text or words()
        self.states = [self.latents.clone()]
        given = LatentStore.of(self.latents), LatentStore.of(self.cond)
        denoise = Denoiser(recorder.brushnet, recorder.unet, settings)
        result = denoise(
            *given,
            self.text,
            self.windows,
            anchor=anchor,
            on_step=lambda _index, latents: self.states.append(latents.tensor().clone()),
        )
        self.calls, self.levels, self.out = recorder.calls, timesteps(settings.steps), result.tensor()
        assert torch.equal(given[0].tensor(), self.latents)  # inputs stay as they are
        assert torch.equal(given[1].tensor(), self.cond)

    def passes(self):
        """Each call with its step and window."""
        places = [(step, window) for step in range(len(self.levels)) for window in self.windows.of_step(step)]
        return list(zip(self.calls, places, strict=True))


@pytest.mark.parametrize("count", [1, 5, 22, 45, 57])
def test_every_window_sees_the_latents_of_the_steps_start(count):
    run = Run(count, steps=4)
    for call, (step, window) in run.passes():
        frames = slice(window.start, window.stop)
        assert torch.equal(call.sample, run.states[step][frames])
        assert torch.equal(call.cond, run.cond[frames])
        assert (call.timestep, call.num_frames) == (run.levels[step], len(window))
    assert torch.equal(run.out, run.states[-1])


@pytest.mark.parametrize("blend", ["reference", "smooth"])
@pytest.mark.parametrize(("count", "length"), [(45, 22), (57, 22), (11, 4), (7, 2), (5, 1)])
def test_windows_are_blended_frame_by_frame(count, length, blend):
    run = Run(count, nframes=length, steps=4, blend=blend)
    expected = [torch.zeros_like(run.latents) for _ in run.levels]
    covered = [0] * len(run.levels)
    for call, (step, window) in run.passes():
        following = (*run.levels[1:], 0)[step]
        values = tcd_step(call.sample, predicted(call), run.levels[step], following)
        shared = covered[step] - window.start if window.start else 0
        weights = new_window_weights(shared, len(window), smooth=blend == "smooth").tolist()
        for place, frame in enumerate(window):
            before = expected[step][frame]
            expected[step][frame] = (1 - weights[place]) * before + weights[place] * values[place]
        covered[step] = window.stop
    for state, wanted in zip(run.states[1:], expected, strict=True):
        torch.testing.assert_close(state, wanted, atol=1e-5, rtol=1e-5)


def test_smooth_blending_changes_the_last_shared_frames_only():
    reference, smooth = Run(45, steps=1), Run(45, steps=1, blend="smooth")
    differs = (reference.out != smooth.out).flatten(1).any(1).nonzero().flatten().tolist()
    assert differs == [21, 38]  # windows are 0-22, 17-39, 23-45
    assert [call.sample.tolist() for call in smooth.calls] == [call.sample.tolist() for call in reference.calls]


@pytest.mark.parametrize("scale", [0.0, 2.0])
@pytest.mark.parametrize("count", [5, 22, 45])
def test_the_anchor_is_one_more_row_in_front(count, scale):
    plain, run = (Run(count, words(scale), anchor, steps=4) for anchor in (None, ANCHOR))
    known = torch.cat([ANCHOR.latent, torch.ones(1, 1, H, W)], dim=1)
    for call, (step, window) in run.passes():
        frames = slice(window.start, window.stop)
        assert call.num_frames == len(window) + 1
        assert len(call.text) == (2 if scale else 1)
        for item in range(len(call.text)):
            sample, cond = call.of_item(item)
            assert torch.equal(sample[:1], noise_to(ANCHOR.latent, ANCHOR.noise, run.levels[step]))
            assert torch.equal(cond[:1], known)
            assert torch.equal(sample[1:], run.states[step][frames])
            assert torch.equal(cond[1:], run.cond[frames])
    assert [call.timestep for call in run.calls] == [call.timestep for call in plain.calls]
    assert run.windows == plain.windows


def test_the_anchors_row_is_dropped():
    run = Run(22, anchor=ANCHOR, steps=1)
    assert torch.equal(run.out, tcd_step(run.latents, predicted(run.calls[0])[1:], 999, 0))


def test_the_anchor_can_stay_with_the_first_window():
    anchor = AnchorLatents(ANCHOR.latent, ANCHOR.noise, first_window_only=True)
    run = Run(45, anchor=anchor)
    assert [call.num_frames for call in run.calls] == [23, 22, 22] * 2


@pytest.mark.parametrize(
    ("gate", "scale", "rows"),
    [
        ("exact", 0.0, ["empty"]),
        ("exact", 0.5, ["negative", "positive"]),
        ("exact", 1.0, ["positive"]),
        ("exact", 2.0, ["negative", "positive"]),
        ("reference", -1.0, ["positive"]),
        ("reference", 0.0, ["positive"]),
        ("reference", 0.5, ["positive"]),
        ("reference", 1.0, ["positive"]),
        ("reference", 2.0, ["negative", "positive"]),
    ],
)
def test_which_words_a_pass_sees(gate, scale, rows):
    run = Run(30, words(scale), cfg_gate=gate)
    for call in run.calls:
        assert torch.equal(call.text, torch.cat([getattr(run.text, row) for row in rows]))
        for item in range(len(rows)):
            assert torch.equal(call.of_item(item)[0], call.of_item()[0])
            assert torch.equal(call.of_item(item)[1], call.of_item()[1])


@pytest.mark.parametrize("scale", [0.5, 2.0, 7.5])
def test_guidance_joins_both_answers(scale):
    run = Run(5, words(scale), steps=1)
    negative, positive = predicted(run.calls[0]).chunk(2)
    expected = tcd_step(run.latents, negative + scale * (positive - negative), 999, 0)
    assert torch.equal(run.out, expected)


@pytest.mark.parametrize("gate", ["exact", "reference"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_equal_words_need_no_second_pass(gate, scale):
    run = Run(30, words(scale, same=True), cfg_gate=gate)
    assert {len(call.text) for call in run.calls} == {1}


def test_no_words_without_the_empty_prompt():
    text = TextGuidance(numbers(1, 1, 7, DIM), numbers(2, 1, 7, DIM), 0.0)
    with pytest.raises(ValueError, match="empty prompt"):
        Run(5, text)
    assert Run(5, text, cfg_gate="reference").calls
