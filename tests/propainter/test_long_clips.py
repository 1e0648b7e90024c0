"""Long clips: chunks, samples and skipped windows, streamed, give what a plain run over whole arrays gives."""

import numpy as np
import pytest
import torch
from golden_support import LOADERS, holes, images_in_range, make_clip
from weight_filler import FLOW_COMPLETION, GENERATOR, RAFT

from lib.propainter.flow_completion import complete_flows
from lib.propainter.prior import Prior
from lib.propainter.settings import PriorSettings
from lib.propainter.stages import PriorModels

LENGTH, SIZE, SUBVIDEO, REF_STRIDE, HALF = 20, 128, 8, 4, 3
SETTINGS = PriorSettings(
    ref_stride=REF_STRIDE,
    neighbor_length=2 * HALF,
    subvideo_length=SUBVIDEO,
    raft_iterations=2,
    precision="fp32",
    numerics="reference",
)
FIRST_CLEAN = 11  # frame; windows behind it have nothing to paint


@pytest.fixture(scope="module")
def clip():
    frames, masks = make_clip(9, LENGTH, SIZE, SIZE, radius=20)
    masks[FIRST_CLEAN:] = 0
    return frames, masks


@pytest.fixture(scope="module")
def models(model_dir):
    return PriorModels(*(LOADERS[net](model_dir(0) / f"{net}.pth") for net in (RAFT, FLOW_COMPLETION, GENERATOR)))


def test_streamed_run_equals_a_plain_one(clip, models):
    frames, masks = clip
    lengths = []  # of the chunks of image propagation
    models.image_propagation.register_forward_hook(lambda _, inputs, __: lengths.append(len(inputs[0])))
    streamed = Prior(models, SETTINGS, "cpu")(frames, masks)
    assert streamed.facts["prior_windows_skipped"] > 0
    streamed_lengths = lengths.copy()
    lengths.clear()
    plain = PlainRun(models, frames, masks).paint()
    assert streamed_lengths == lengths[: len(streamed_lengths)]  # what only skipped windows need is left out
    assert not np.array_equal(plain, frames)
    difference = np.abs(streamed.frames.astype(int) - plain)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-4


class PlainRun:
    """The published driver's steps one after the other, each over the whole clip."""

    def __init__(self, models, frames, masks):
        self.models, self.originals, self.holes = models, frames, masks > 0
        self.frames, self.masks = images_in_range(frames), holes(masks)

    def paint(self):
        forward, backward = self.completed(*self.models.raft(self.frames, SETTINGS.raft_iterations))
        self.propagate_samples()
        updated, unknown = self.propagated(forward, backward)
        result = {}
        for middle in range(0, LENGTH, HALF):
            local = range(max(0, middle - HALF), min(LENGTH, middle + HALF + 1))
            chosen = [*local, *references(middle, local)]
            pairs = slice(local.start, local.stop - 1)
            painted = self.models.generator(
                updated[chosen], forward[pairs], backward[pairs], self.masks[chosen], unknown[chosen], len(local)
            )
            self.blend(result, local, painted)
        return np.stack([result[index] for index in range(LENGTH)])

    def completed(self, forward, backward):
        parts = []
        for start in range(0, LENGTH - 1, SUBVIDEO):
            first, last = max(0, start - 5), min(LENGTH - 1, start + SUBVIDEO + 5)
            masks = self.masks[first : last + 1]
            chunk = complete_flows(self.models.flow_completion, forward[first:last], backward[first:last], masks)
            parts.append([flow[start - first : start - first + SUBVIDEO] for flow in chunk])
        return (torch.cat(directions) for directions in zip(*parts, strict=True))

    def propagate_samples(self):
        """In place, as every SUBVIDEO / 2-th part of the clip is one sample."""
        samples = range(0, LENGTH, LENGTH // (SUBVIDEO // 2))
        frames, masks = self.frames[samples], self.masks[samples]
        flows = self.models.raft(frames, SETTINGS.raft_iterations)
        flows = complete_flows(self.models.flow_completion, *flows, masks)
        self.frames[samples], self.masks[samples] = self.fill(frames, *flows, masks)

    def propagated(self, forward, backward):
        parts = []
        for start in range(0, LENGTH, SUBVIDEO):
            first, last = max(0, start - 10), min(LENGTH, start + SUBVIDEO + 10)
            flows = (forward[first : last - 1], backward[first : last - 1])
            chunk = self.fill(self.frames[first:last], *flows, self.masks[first:last])
            parts.append([values[start - first : start - first + SUBVIDEO] for values in chunk])
        return (torch.cat(values) for values in zip(*parts, strict=True))

    def fill(self, frames, forward, backward, masks):
        filled, unknown = self.models.image_propagation(frames * (1 - masks), forward, backward, masks)
        return frames * (1 - masks) + filled * masks, unknown

    def blend(self, result, local, painted):
        pictures = ((painted.permute(0, 2, 3, 1) + 1) / 2 * 255).numpy().astype(np.uint8)
        for index, picture in zip(local, pictures, strict=True):
            visit = np.where(self.holes[index][..., None], picture, self.originals[index])
            before = result.get(index)
            result[index] = visit if before is None else (0.5 * before + 0.5 * visit).astype(np.uint8)


def references(middle, local):
    reach = REF_STRIDE * (SUBVIDEO // REF_STRIDE // 2)
    near = range(max(0, middle - reach), min(LENGTH, middle + reach), REF_STRIDE)
    return [index for index in near if index not in local]
