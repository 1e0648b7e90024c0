"""The whole prior, from files to frames, with what it hands from stage to stage."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from driver_inputs import check_inputs, input_files, options
from golden_support import LOADERS, Golden, each_golden
from weight_filler import FLOW_COMPLETION, GENERATOR, RAFT

from lib.compute.steps import run_directly
from lib.compute.stopwatch import Stopwatch
from lib.propainter import stages
from lib.propainter.plan import Window, windows
from lib.propainter.prior import Prior
from lib.propainter.reference_inputs import read_frames, read_masks
from lib.propainter.settings import PriorSettings
from lib.propainter.sizing import bring_to_size
from lib.propainter.stages import PriorModels


@each_golden("driver")
def test_whole_prior_with_its_stages(golden_path, tmp_path, model_dir, monkeypatch):
    golden = Golden(golden_path)
    frames_path, masks_path = input_files(golden, tmp_path)
    reading, settings = options(golden.params["args"])
    clip = read_frames(frames_path, **reading)
    masks = read_masks(masks_path, len(clip.frames))
    check_inputs(golden, clip.frames, masks)

    folder = model_dir(golden.seed)
    models = PriorModels(*(LOADERS[net](folder / f"{net}.pth") for net in (RAFT, FLOW_COMPLETION, GENERATOR)))
    prior = Prior(models, settings, "cpu")
    recording = Recording(models, monkeypatch)
    result = prior(clip.frames, masks).frames
    check_run(golden, result, clip.fps)
    length = len(result)
    if len(recording.painted) < len(list(windows(length, settings))):
        # Windows without a hole are skipped; the reference painted them too.
        recording = Recording(models, monkeypatch)
        paint_all_windows(clip.frames[:length], (masks * length)[:length], settings, models)
    check_trace(golden, recording)
    golden.check_all({"comp_frames": result} | stage_values(golden, recording))


Flow = tuple[torch.Tensor, torch.Tensor]  # forward and backward
_Call = TypeVar("_Call")


class Recording:
    """What the stages of one run hand on, in the order in which they do; samples of a long clip come first."""

    def __init__(self, models: PriorModels, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flow: list[Flow] = []
        self.completed: list[Flow] = []
        self.propagated: list[tuple[torch.Tensor, torch.Tensor]] = []  # frames and what is still unknown
        self.painted: list[tuple[Window, torch.Tensor]] = []
        self._samples = 0  # frames that are propagated among themselves first
        self.seen: dict[int, tuple[torch.Tensor, ...]] = {}  # by frame: picture, mask, updated mask for the generator

        def record(owner: object, name: str, note: Callable[..., None]) -> None:
            function = getattr(owner, name)

            def recorded(*inputs: Any) -> Any:
                output = function(*inputs)
                note(output, *inputs)
                return output

            monkeypatch.setattr(owner, name, recorded)

        record(models.raft, "flow_between", lambda flow, *_: self.flow.append(tuple(flow.chunk(2))))
        record(stages, "complete_flows", lambda flow, *_: self.completed.append(flow))
        record(models.image_propagation, "forward", lambda output, *_: self.propagated.append(output))
        record(stages.ClipStages, "paint", lambda output, _, window: self.painted.append((window, output)))
        record(stages.ClipStages, "_encode", self._note_inputs)
        record(stages.ClipStages, "_propagate_samples", lambda samples, *_: setattr(self, "_samples", len(samples)))

    def window_inputs(self, window: Window) -> list[torch.Tensor]:
        """Pictures, masks and updated masks that the generator gets for a window's frames, (t, c, H, W) each."""
        indices = [*window.local, *window.references]
        return [torch.stack(values) for values in zip(*(self.seen[index] for index in indices), strict=True)]

    def window_sums(self, window: Window) -> list[float]:
        _, masks, updated = self.window_inputs(window)
        return [masks.sum().item(), updated.sum().item()]

    def split(self, calls: list[_Call]) -> tuple[list[_Call], list[_Call]]:
        """The calls for the samples (one or none), and those for the clip."""
        return (calls[:1], calls[1:]) if self._samples else ([], calls)

    def flows(self) -> tuple[Flow, Flow]:
        """Flow between the samples, and flow of the clip."""
        forward, backward = (torch.cat(directions) for directions in zip(*self.flow, strict=True))
        pairs = max(self._samples - 1, 0)
        return (forward[:pairs], backward[:pairs]), (forward[pairs:], backward[pairs:])

    def _note_inputs(self, _: object, clip_stages: Any, start: int, stop: int) -> None:
        pictures, updated = clip_stages._propagated.read(start, stop)
        masks = clip_stages._known_masks(start, stop)
        self.seen |= dict(zip(range(start, stop), zip(pictures, masks, updated, strict=True), strict=True))


def paint_all_windows(
    frames: np.ndarray, masks: Sequence[np.ndarray], settings: PriorSettings, models: PriorModels
) -> None:
    device = torch.device("cpu")
    compute = stages.Compute(device, torch.float32, torch.float32, run_directly)
    clip = bring_to_size(frames, masks, settings).clip
    all_stages = stages.ClipStages(clip, models, settings, compute, Stopwatch(device))
    for window in windows(len(frames), settings):
        all_stages.paint(window)


def check_run(golden: Golden, result: np.ndarray, fps: float) -> None:
    assert result.shape[2:0:-1] == tuple(golden.meta["run"]["size"])
    assert fps == golden.meta["run"]["fps"]


def check_trace(golden: Golden, recording: Recording) -> None:
    """Which chunks and windows there were. How RAFT's pairs are grouped is free: they do not depend on each other."""
    samples, chunks = recording.split(recording.completed)
    trace = [entry for entry in golden.meta["run"]["trace"] if entry[0] != "raft"]
    trace_counts = [entry[:3] for entry in trace]
    ours = [["flowcomp", len(forward)] for forward, _ in chunks + samples]
    ours += [["imgprop", len(frames)] for frames, _ in recording.propagated]
    painted = [window for window, _ in recording.painted]
    ours += [["window", len(window.local) + len(window.references), len(window.local)] for window in painted]
    assert ours == trace_counts
    sums = [recording.window_sums(window) for window in painted]
    assert sums == [pytest.approx(entry[3:], rel=1e-3) for entry in trace if entry[0] == "window"]


def stage_values(golden: Golden, recording: Recording) -> dict[str, torch.Tensor]:
    """The reference handles samples after the flow of the whole clip, and calls RAFT anew for every few frames."""
    sample_flow, flow = recording.flows()
    raft_pairs = [entry[1] - 1 for entry in golden.meta["run"]["trace"] if entry[0] == "raft"]
    sampled, completed = recording.split(recording.completed)
    assert sum(raft_pairs) == sum(len(forward) for forward, _ in (sample_flow, flow))
    last_window, last_painted = recording.painted[-1]
    last_backward = (sample_flow if sampled else flow)[1]
    return {
        "raft_first_f": flow[0][: raft_pairs[0]][None],
        "raft_last_b": last_backward[-raft_pairs[-1] :][None],
        "comb_first_f": completed[0][0][None],
        "comb_last_b": (completed + sampled)[-1][1][None],
        "prop_frames_last": recording.propagated[-1][0][None],
        "prop_masks": torch.cat([masks.flatten() for _, masks in recording.propagated]),
        "window_first": recording.painted[0][1][None],
        "window_last": last_painted[None],
        "window_last_in": recording.window_inputs(last_window)[0][None],
    }
