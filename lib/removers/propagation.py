"""The engine that needs no weights, behind the `Remover` interface."""

import os
import time

import cv2
import numpy as np
from PIL import Image

from lib.anchor.base import AnchorInpainter
from lib.memory import available_bytes
from lib.propagation.anchor_fill import Inpaint, paint_with_telea
from lib.propagation.engine import CODE_VERSION, Propagation, propagate
from lib.propagation.settings import PropagationSettings
from lib.removers.base import RemovalRequest, RemovalResult
from lib.video.compose import Blend, Feather

COARSE_PASSES = 1
REFINE_PASSES = 2
BYTES_PER_WORKER = 4 * 2**30  # what 300 frames of 1920x1080 take


class PropagationRemover:
    """Takes what the object hides from frames that show it. Prompt and seed matter only to the request's anchor."""

    name = "propagation"
    title = "Propagation"
    size_multiple = 1
    work_copies = 2.0
    uses_gpu = False
    uses_prompt = True  # by way of the anchor
    uses_text = False
    blend: Blend = Feather(3)
    prior = None

    def __init__(self, settings: PropagationSettings | None = None) -> None:
        """settings: `passes` is set by the request: one without an anchor (coarse), two with one (refine)."""
        self._settings = settings or PropagationSettings()

    def check(self) -> None:
        """Nothing can be missing: it has no weights."""

    def suggested_workers(self) -> int:
        """A process a core, as far as memory goes."""
        available = available_bytes()
        fitting = available // BYTES_PER_WORKER if available else 1
        return max(1, min(os.cpu_count() or 1, fitting))

    def fingerprint(self) -> dict[str, str]:
        return {
            "engine": self.name,
            "code": CODE_VERSION,
            "opencv": cv2.__version__,
            "numpy": np.__version__,
            "settings": repr(self._settings),
        }

    def remove(self, request: RemovalRequest) -> RemovalResult:
        """Fill the hole of every frame.

        Raises:
            ValueError: shapes or types of the request do not fit each other.
        """
        started = time.perf_counter()
        refine = request.anchor is not None
        settings = self._settings.with_passes(REFINE_PASSES if refine else COARSE_PASSES)
        first = min(max(request.anchor_frame_idx, 0), len(request.frames) - 1)
        done = propagate(
            request.frames,
            request.masks,
            settings,
            inpaint=_painter(request.anchor, request) if request.anchor is not None else paint_with_telea,
            first_anchor=first,
            out=request.frames if request.may_overwrite and request.frames.flags.c_contiguous else None,
            report=request.report,
        )
        return RemovalResult(
            frames=done.frames,
            anchor_frame=done.frames[first].copy() if refine else None,
            seconds={"propagation": time.perf_counter() - started},
            facts=_facts(done),
        )


def _painter(anchor: AnchorInpainter, request: RemovalRequest) -> Inpaint:
    def paint(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        hole = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
        return np.asarray(anchor.inpaint(Image.fromarray(frame), hole, request.anchor_prompt, request.anchor_n_prompt))

    return paint


def _facts(done: Propagation) -> dict[str, float]:
    pixels = max(done.hole_pixels, 1)
    anchored, crumbs = done.anchored_pixels / pixels, done.crumb_pixels / pixels
    return {
        "share_from_frames": 1 - anchored - crumbs,
        "share_from_anchor": anchored,
        "share_crumbs": crumbs,
        "chain_breaks": float(done.shots - 1),
    }
