"""The ProPainter prior: frames and masks in, frames with the holes filled out (Zhou et al., "ProPainter", 2023)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lib.compute.graphs import CudaGraphs
from lib.compute.steps import run_directly
from lib.compute.stopwatch import Stopwatch
from lib.compute.transfer import HostFrames
from lib.errors import InputError
from lib.model_loads import note_load
from lib.propainter.checkpoints import load_flow_completion, load_generator, load_raft
from lib.propainter.composition import Composition, make_composition
from lib.propainter.deformable import DeformableAlignment
from lib.propainter.plan import Window, needed_from, windows
from lib.propainter.settings import PriorSettings
from lib.propainter.sizing import Clip, bring_to_size
from lib.propainter.stages import ClipStages, Compute, PriorModels
from lib.propainter.weight_files import FLOW_COMPLETION_FILE, GENERATOR_FILE, RAFT_FILE, check_model_dir

Masks = np.ndarray | Sequence[np.ndarray]


@dataclass
class PriorResult:
    """What the prior of one clip is, and what it cost."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    seconds: dict[str, float]  # stage -> seconds; "all" is wall time with host work
    facts: dict[str, float]  # size, windows painted and skipped, peak memory of the device in bytes


class Prior:
    """Models on a device, ready for any number of clips.

    Numerics. "reference" repeats the published driver: sizes are cut to multiples of 8 and the result stretched back,
    every visit of a frame is truncated to integers and averaged with the one before, and with fp16 positions are
    computed in half precision too. "better", the default, pads instead of stretching (sides under 128 as well), takes
    the mean of all visits and rounds once, computes flow, warps and positions in float32, and leaves every pixel
    outside the holes as it was. Both keep what the published driver adds to the paper: the propagation among sampled
    frames of long clips, the clamp of warped features, the order of the windows.

    Memory on the device does not depend on the clip's length (see `ClipStages`).
    """

    def __init__(self, models: PriorModels, settings: PriorSettings, device: torch.device | str) -> None:
        """models: in float32, moved and converted here; they belong to the prior from now on."""
        self.settings = settings
        self.device = torch.device(device)
        cuda = self.device.type == "cuda"
        network_type = torch.float16 if cuda and settings.precision == "fp16" else torch.float32
        raft_type = torch.float16 if cuda and settings.raft_precision == "fp16" else torch.float32
        models.raft.to(self.device, raft_type)
        models.flow_completion.to(self.device, network_type)
        models.generator.to(self.device, network_type)
        if cuda:
            _lay_out_for_cuda(models.raft)
            _lay_out_for_cuda(models.generator)
        _set_exact_positions(models, settings.numerics == "better")
        self._models = models
        picture_type = network_type if settings.numerics == "reference" else torch.float32
        self._graphs = CudaGraphs()
        self._graphs_size = (0, 0)
        self._compute = Compute(self.device, network_type, picture_type, self._graphs if cuda else run_directly)

    @classmethod
    def load(cls, model_dir: Path, settings: PriorSettings, device: torch.device | str) -> "Prior":
        """The prior with the published weights.

        Raises:
            InputError: a file is missing, damaged, or holds other weights.
        """
        check_model_dir(model_dir)
        models = PriorModels(
            load_raft(model_dir / RAFT_FILE),
            load_flow_completion(model_dir / FLOW_COMPLETION_FILE),
            load_generator(model_dir / GENERATOR_FILE),
        )
        note_load("propainter")
        return cls(models, settings, device)

    def rest(self) -> None:
        """Give back the device memory that only speeds up the next clip."""
        self._graphs.forget()
        self._compute.release_unused()

    @torch.inference_mode()
    def __call__(
        self, frames: np.ndarray, masks: Masks, *, report: Callable[[float], None] = lambda _share: None
    ) -> PriorResult:
        """Fill the holes of one clip.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            masks: (n, H, W) or n arrays (H, W), nonzero = hole; another size than the frames' is brought to theirs.
                One mask holds for all frames; otherwise the longer of frames and masks is cut to the shorter.
            report: called with the share done, 0..1.

        Returns:
            frames of the same size, (min(T, n), H, W, 3); with reference numerics of the size rule's output size.

        Raises:
            InputError: frames or masks that cannot be used; before any network runs.
        """
        started = time.perf_counter()
        frames, masks = _matched(frames, masks)
        sized = bring_to_size(frames, masks, self.settings)
        clock = Stopwatch(self.device)
        self._forget_other_sizes(sized.clip.masks.shape[1:])
        painted, facts = self._paint(sized.clip, clock, report)
        result = sized.back(painted)
        seconds = clock.seconds() | {"all": time.perf_counter() - started}
        return PriorResult(result, seconds, facts)

    def _forget_other_sizes(self, size: tuple[int, ...]) -> None:
        """Graphs of another size would only take memory: the videos of a batch mostly have one."""
        if size != self._graphs_size:
            self._graphs.forget()
            self._graphs_size = size

    def _paint(
        self, clip: Clip, clock: Stopwatch, report: Callable[[float], None]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """The clip's frames (T, H, W, 3) with its holes filled, and facts."""
        plan = list(windows(len(clip), self.settings))
        wanted = [window for window in plan if clip.masks[window.local.start : window.local.stop].any()]
        painted = clip.frames.copy()
        facts = {
            "prior_width": float(clip.frames.shape[2]),
            "prior_height": float(clip.frames.shape[1]),
            "prior_windows": float(len(wanted)),
            "prior_windows_skipped": float(len(plan) - len(wanted)),
        }
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        if wanted:
            self._paint_windows(clip, wanted, painted, clock, report)
        if cuda:
            facts["device_peak_bytes"] = float(torch.cuda.max_memory_reserved(self.device))
        return painted, facts

    def _paint_windows(
        self, clip: Clip, wanted: list[Window], painted: np.ndarray, clock: Stopwatch, report: Callable[[float], None]
    ) -> None:
        stages = ClipStages(clip, self._models, self.settings, self._compute, clock)
        composition, host = make_composition(self.settings.numerics), HostFrames(painted)
        # After the last window nothing starts and nothing is needed any more.
        next_start = [window.local.start for window in wanted[1:]] + [len(clip)]
        next_needs = [*needed_from(wanted)[1:], len(clip)]
        first_open = wanted[0].local.start
        for number, window in enumerate(wanted):
            local = window.local
            values = stages.paint(window)
            with clock.stage("composition"):
                originals = self._compute.upload(clip.frames[local.start : local.stop])
                holes = self._compute.upload(clip.masks[local.start : local.stop])
                composition.add(local.start, values, originals, holes)
                final = range(max(first_open, local.start), min(next_start[number], local.stop))
                _send(host, composition, final)
            first_open = final.stop
            stages.forget(next_needs[number])
            report((number + 1) / len(wanted))
        host.finish()


def _send(host: HostFrames, composition: Composition, final: range) -> None:
    """Frames that no later window visits leave the device."""
    if final:
        host.put(final.start, torch.stack([composition.take(index) for index in final]))


def _lay_out_for_cuda(net: torch.nn.Module) -> None:
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _set_exact_positions(models: PriorModels, exact: bool) -> None:
    for net in (models.flow_completion, models.generator):
        for module in net.modules():
            if isinstance(module, DeformableAlignment):
                module.exact_positions = exact


def _matched(frames: np.ndarray, masks: Masks) -> tuple[np.ndarray, Masks]:
    """Frames and masks of one length.

    Raises:
        InputError: no frames, no masks, or arrays of another kind.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise InputError(f"frames are {frames.dtype} {frames.shape}; the prior takes uint8 (T, H, W, 3), at least one")
    if not len(masks):
        raise InputError(f"no masks for {len(frames)} frames; give one for each, or one for all")
    if wrong := [mask.shape for mask in masks if mask.ndim != 2 or not mask.size]:
        raise InputError(f"a mask is of shape {wrong[0]}; the prior takes masks (H, W)")
    if len(masks) == 1:
        return frames, np.broadcast_to(masks[0], (len(frames), *masks[0].shape))
    count = min(len(frames), len(masks))
    return frames[:count], masks[:count]
