"""The fast engine with weights: the ProPainter prior alone is the result."""

from __future__ import annotations

import dataclasses
import time
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import PIL

from lib.errors import InputError
from lib.propainter.settings import PriorSettings
from lib.propainter.weight_files import FILES, check_model_dir
from lib.removers.anchoring import anchor_picture
from lib.removers.base import RemovalRequest, RemovalResult
from lib.removers.gpu import check_gpu, does_not_fit, gpu_count, torch_device
from lib.runtime.fingerprints import fingerprint_weights
from lib.settings import PropainterPrior
from lib.video.compose import Feather
from lib.video.sizes import resize_frames

if TYPE_CHECKING:  # torch takes seconds to import: only a process that removes something does
    from lib.propainter.prior import Prior, PriorResult

CODE_VERSION = "1"  # of lib/propainter and this module, as far as results go


class PropainterRemover:
    """Spreads what other frames show, and paints the rest, with the ProPainter networks."""

    name = "propainter"
    title = "ProPainter"
    size_multiple = 1  # the prior pads or scales by itself
    work_copies = 4.5  # where it pads; 3.5 where it scales, 2.5 at multiples of 8 (measured)
    uses_gpu = True
    uses_prompt = False
    uses_text = False
    blend = Feather(3)

    def __init__(self, model_dir: Path, settings: PriorSettings | None = None) -> None:
        """model_dir: the folder with the three weight files."""
        self._model_dir = model_dir
        self._settings = settings or PriorSettings()

    @property
    def prior(self) -> PropainterRemover:
        return self

    @classmethod
    def from_settings(cls, prior: PropainterPrior) -> PropainterRemover:
        """The engine as set for a run.

        Raises:
            InputError: there is no folder of weights.
        """
        if prior.propainter_model_dir is None:
            raise InputError(
                "--engine propainter needs --propainter_model_dir, the folder with the weights "
                "raft-things.pth, recurrent_flow_completion.pth and ProPainter.pth (`make weights` fetches them), "
                "or --weights_dir, the folder above it"
            )
        settings = PriorSettings(
            ref_stride=prior.ref_stride,
            neighbor_length=prior.neighbor_length,
            subvideo_length=prior.subvideo_length,
            raft_iterations=prior.raft_iter,
            precision=prior.precision,
            raft_precision=prior.raft_precision,
            numerics=prior.numerics,
        )
        return cls(prior.propainter_model_dir, settings)

    def check(self) -> None:
        """See that the weights are there and whole, and that a GPU, if there is one, can be used.

        Raises:
            InputError: what is missing, and how to get it.
        """
        try:
            check_model_dir(self._model_dir)
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from None
        check_gpu()

    def suggested_workers(self) -> int:
        """A process a GPU; one on the CPU, where the networks use all cores."""
        return max(1, gpu_count())

    def fingerprint(self) -> dict[str, str]:
        return {
            "engine": self.name,
            "code": CODE_VERSION,
            "torch": version("torch"),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "device": "cuda" if gpu_count() else "cpu",
            "settings": repr(self._effective_settings),
            **{name: fingerprint_weights(self._model_dir / name) for name in FILES},
        }

    @property
    def _effective_settings(self) -> PriorSettings:
        """Options without effect do not tell results apart."""
        if gpu_count():
            return self._settings
        return dataclasses.replace(self._settings, precision="fp32", raft_precision="fp32")

    @cached_property
    def _prior(self) -> Prior:
        from lib.propainter.prior import Prior

        return Prior.load(self._model_dir, self._settings, torch_device())

    def rest(self) -> None:
        """Leave as much device memory to others as goes without loading the weights again."""
        if "_prior" in self.__dict__:
            self._prior.rest()

    def remove(self, request: RemovalRequest) -> RemovalResult:
        """Fill the hole of every frame. Prompts play no part, and no anchor is spread: its picture is the result's.

        Raises:
            ValueError: shapes or types of the request do not fit each other.
            InputError: the clip does not fit into the GPU's memory, or the weights cannot be used.
        """
        frames, masks = request.frames, request.masks
        # The prior itself would cut the longer to the shorter.
        if masks.shape != frames.shape[:3] or masks.dtype != bool:
            raise ValueError(f"masks must be {frames.shape[:3]} bool, got {masks.shape} {masks.dtype}")
        if request.prior is not None:
            if request.prior.shape != frames.shape or request.prior.dtype != np.uint8:
                raise ValueError(f"prior must be {frames.shape} uint8, got {request.prior.shape} {request.prior.dtype}")
            result = RemovalResult(request.prior)
        else:
            result = self._paint(request)
        result.prior = result.frames
        result.anchor_frame = anchor_picture(request, result.frames)
        return result

    def _paint(self, request: RemovalRequest) -> RemovalResult:
        started = time.perf_counter()
        prior = self._prior
        loaded = time.perf_counter()
        done = _run(prior, request)
        return RemovalResult(
            # numerics="reference" may give them smaller
            frames=resize_frames(done.frames, request.frames.shape[1:3]),
            seconds={"load": loaded - started, **done.seconds},
            facts=dict(done.facts),
        )


def _run(prior: Prior, request: RemovalRequest) -> PriorResult:
    import torch

    try:
        return prior(request.frames, request.masks, report=request.report)
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise does_not_fit(request, error, "lower --subvideo_length or --neighbor_length") from error
