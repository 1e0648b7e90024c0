"""Everything between the frames of one clip and its painted windows, in the order in which it is needed.

Each stage is a `BlockStream`: windows read encoded frames, these read propagated ones, these completed flow, and this
flow. A clip of any length passes through with a bounded part of it on the device.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from lib.compute.steps import Steps
from lib.compute.stopwatch import Stopwatch
from lib.compute.transfer import upload
from lib.propainter.feature_propagation import LocalFlows
from lib.propainter.flow_completion import FlowCompletion, complete_flows
from lib.propainter.generator import FRAMES_AT_ONCE, EncodedWindow, InpaintGenerator, shrink_flow, shrink_masks
from lib.propainter.image_propagation import ImagePropagation
from lib.propainter.plan import (
    COMPLETION_CONTEXT,
    PROPAGATION_CONTEXT,
    Window,
    completion_chunk,
    flow_chunk,
    propagation_chunk,
    sampled_frames,
    with_context,
)
from lib.propainter.raft import RAFT
from lib.propainter.settings import PriorSettings
from lib.propainter.sizing import Clip
from lib.propainter.streams import BlockStream, Tensors
from lib.propainter.transformer import windows_of_frames

FrameSource = Callable[[int, int], torch.Tensor]  # (start, stop) -> (n, 3, H, W) in -1..1


@dataclass(frozen=True)
class PriorModels:
    """The three networks, and the propagation that has no weights."""

    raft: RAFT
    flow_completion: FlowCompletion
    generator: InpaintGenerator
    image_propagation: ImagePropagation = field(default_factory=ImagePropagation)


@dataclass(frozen=True)
class Compute:
    """Where and how exactly the stages work."""

    device: torch.device
    network_type: torch.dtype  # of the completion network and the generator
    picture_type: torch.dtype  # of frames, masks and flow between the networks
    steps: Steps

    def upload(self, array: np.ndarray) -> torch.Tensor:
        """A copy on the device; the host does not wait for it."""
        return upload(array, self.device)

    def release_unused(self) -> None:
        """Hand back what the allocator keeps for sizes that may never come again."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


class ClipStages:
    """The stages of one clip."""

    def __init__(
        self, clip: Clip, models: PriorModels, settings: PriorSettings, compute: Compute, clock: Stopwatch
    ) -> None:
        self._clip, self._models, self._settings = clip, models, settings
        self._compute, self._clock = compute, clock
        count, length = len(clip), settings.subvideo_length
        self._features, self._flows = self._flow_streams(count, self._frames)
        self._completed = BlockStream(count - 1, completion_chunk(count - 1, length), self._complete)
        self._sampled: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._sampled = self._propagate_samples(sampled_frames(count, length))
        self._propagated = BlockStream(count, propagation_chunk(count, length), self._propagate)
        self._encoded = BlockStream(count, FRAMES_AT_ONCE, self._encode)
        self._reference_tokens = BlockStream(count, 1, self._tokenise)
        self._local_flows = BlockStream(count - 1, FRAMES_AT_ONCE, self._shrink)
        self._touched = self._touched_by_frame()

    def paint(self, window: Window) -> torch.Tensor:
        """The local frames of a window, painted: (l, 3, H, W) in -1..1."""
        encoded = self._encoded_window(window)
        references = self._reference_tokens.read_at(window.references)[0] if window.references else None
        generator, steps = self._models.generator, self._compute.steps
        with self._clock.stage("feature propagation"):
            local = generator.propagate(encoded, steps)
        with self._clock.stage("transformer"):
            return generator.render(local, references, encoded.touched)

    def forget(self, before: int) -> None:
        """Free what only windows of frames before `before` needed."""
        self._reference_tokens.forget(before)
        unshrunk = self._local_flows.forget(before)
        unpropagated = self._propagated.forget(self._encoded.forget(before))
        item = self._completed.forget(min(unpropagated - PROPAGATION_CONTEXT, unshrunk))
        item = self._flows.forget(item - COMPLETION_CONTEXT)
        self._features.forget(item)

    def _frames(self, start: int, stop: int) -> torch.Tensor:
        """(n, 3, H, W) float32 in -1..1, as they were given."""
        pictures = self._compute.upload(self._clip.frames[start:stop]).permute(0, 3, 1, 2)
        return pictures.float() / 255 * 2 - 1

    def _given_masks(self, start: int, stop: int) -> torch.Tensor:
        """(n, 1, H, W), 1 = hole, as they were given."""
        return self._compute.upload(self._clip.masks[start:stop])[:, None].to(self._compute.picture_type)

    def _known_frames(self, start: int, stop: int) -> torch.Tensor:
        """(n, 3, H, W), with what the samples learnt from each other."""
        frames = self._frames(start, stop).to(self._compute.picture_type)
        for index in range(start, stop):
            if index in self._sampled:
                frames[index - start] = self._sampled[index][0]
        return frames

    def _known_masks(self, start: int, stop: int) -> torch.Tensor:
        """(n, 1, H, W), 1 = hole, without what the samples learnt from each other."""
        masks = self._given_masks(start, stop)
        for index in range(start, stop):
            if index in self._sampled:
                masks[index - start] = self._sampled[index][1]
        return masks

    def _flow_streams(self, count: int, frames: FrameSource) -> tuple[BlockStream, BlockStream]:
        """RAFT's features of `count` frames, and the flow between neighbours, forward and backward."""
        raft, iterations = self._models.raft, self._settings.raft_iterations
        height, width = self._clip.frames.shape[1:3]
        pairs = flow_chunk(width, height)
        dtype = next(raft.parameters()).dtype

        def encode(start: int, stop: int) -> Tensors:
            pictures = frames(start, stop).to(dtype)
            with self._clock.stage("flow"):
                features = raft.encode(pictures)
                return features.matching, features.context

        def estimate(start: int, stop: int) -> Tensors:
            matching, context = features.read(start, stop + 1)
            features.forget(stop)
            with self._clock.stage("flow"):
                flow = self._compute.steps(raft, "flow_between", matching, context, iterations)
                return tuple(flow.to(self._compute.picture_type).split(stop - start))

        features = BlockStream(count, pairs, encode)
        return features, BlockStream(count - 1, pairs, estimate)

    def _complete(self, start: int, stop: int) -> Tensors:
        first, last = with_context(start, stop, COMPLETION_CONTEXT, len(self._clip) - 1)
        forward, backward = self._flows.read(first, last)
        masks = self._given_masks(first, last + 1)
        if len(self._clip) > self._settings.subvideo_length:
            self._compute.release_unused()
        with self._clock.stage("flow completion"):
            completed = complete_flows(self._models.flow_completion, forward, backward, masks, self._compute.steps)
        return tuple(flow[start - first : stop - first] for flow in completed)

    def _propagate_samples(self, samples: range) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """Frame -> (3, H, W) and mask (1, H, W) of the samples, filled from each other; what stays unknown is 0."""
        if not samples:
            return {}
        frames = torch.cat([self._known_frames(k, k + 1) for k in samples])
        masks = torch.cat([self._known_masks(k, k + 1) for k in samples])
        _, flows = self._flow_streams(len(samples), lambda start, stop: frames[start:stop].float())
        forward, backward = flows.read(0, len(samples) - 1)
        with self._clock.stage("flow completion"):
            net = self._models.flow_completion
            completed = complete_flows(net, forward, backward, masks, self._compute.steps)
        frames, masks = self._fill(frames, masks, completed)
        return {index: (frames[k], masks[k]) for k, index in enumerate(samples)}

    def _propagate(self, start: int, stop: int) -> Tensors:
        count = len(self._clip)
        first, last = with_context(start, stop, PROPAGATION_CONTEXT, count)
        flows = self._completed.read(first, last - 1) if last > first + 1 else None
        frames, masks = self._known_frames(first, last), self._known_masks(first, last)
        updated = (frames * (1 - masks), masks) if flows is None else self._fill(frames, masks, flows)
        kept = slice(start - first, stop - first)
        # Copies, so that the context of the chunk is not kept alive with it.
        return tuple(x[kept].to(self._compute.network_type, copy=True) for x in updated)

    def _fill(self, frames: torch.Tensor, masks: torch.Tensor, completed: Tensors) -> Tensors:
        """What image propagation along completed flow makes of frames and masks."""
        forward, backward = completed
        with self._clock.stage("image propagation"):
            propagate = self._models.image_propagation
            filled, unknown = propagate(frames * (1 - masks), forward, backward, masks, self._compute.steps)
            return frames * (1 - masks) + filled * masks, unknown

    def _encode(self, start: int, stop: int) -> Tensors:
        frames, updated = self._propagated.read(start, stop)
        masks = self._known_masks(start, stop).to(frames.dtype)
        with self._clock.stage("encoder"):
            features = self._models.generator.encode(frames, masks, updated)
            return features, torch.cat((shrink_masks(masks), shrink_masks(updated)), dim=1)

    def _tokenise(self, start: int, stop: int) -> Tensors:
        features, _ = self._encoded.read(start, stop)
        with self._clock.stage("encoder"):
            return (self._models.generator.ss(features),)

    def _shrink(self, start: int, stop: int) -> Tensors:
        forward, backward = self._completed.read(start, stop)
        with self._clock.stage("encoder"):
            flows = LocalFlows.between(shrink_flow(forward), shrink_flow(backward))
            return flows.forward, flows.backward

    def _encoded_window(self, window: Window) -> EncodedWindow:
        local = window.local
        features, masks = self._encoded.read(local.start, local.stop)
        if len(local) > 1:
            flows = LocalFlows(*self._local_flows.read(local.start, local.stop - 1))
        else:
            flows = LocalFlows.nothing(features)
        touched = np.flatnonzero(self._touched[local.start : local.stop].any(axis=0))
        return EncodedWindow(features, flows, masks, self._compute.upload(touched))

    def _touched_by_frame(self) -> np.ndarray:
        """(T, windows) bool: which attention windows each frame's hole touches."""
        count, step = len(self._clip), 4 * FRAMES_AT_ONCE
        parts = [
            windows_of_frames(shrink_masks(self._known_masks(start, min(start + step, count))))
            for start in range(0, count, step)
        ]
        return torch.cat(parts).cpu().numpy()
