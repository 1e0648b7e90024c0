"""The anchor that needs no weights: PatchMatch copies texture from around the hole."""

from importlib.metadata import version

import cv2
import numpy as np
from patchmatch import patch_match
from PIL import Image

from lib.anchor.base import AnchorInpainter
from lib.errors import InputError

CODE_VERSION = "1"
PATCH_RADIUS = 3
SMALL_SIDE = 24  # pictures with a side under this get the smallest patches
CONTEXT = 48  # at least this many pixels around the hole are searched for texture


class PatchAnchorInpainter(AnchorInpainter):
    """Fills a hole with patches of the rest of the picture; the same seed gives the same picture."""

    name = "patch"

    def __init__(self, seed: int = 42) -> None:
        """seed: of the randomised search, taken modulo 2**32."""
        self._seed = seed

    def inpaint(
        self, frame: Image.Image, mask: Image.Image, prompt: str | None = None, n_prompt: str | None = None
    ) -> Image.Image:
        """As in `AnchorInpainter`; the prompts are ignored.

        Raises:
            InputError: frame and mask differ in size, or the hole leaves no texture to copy from.
        """
        if frame.size != mask.size:
            raise InputError(f"the anchor's frame is {frame.size} and its mask {mask.size}: they must be of one size")
        del prompt, n_prompt  # patches have no words
        picture = np.array(frame.convert("RGB"))
        hole = np.asarray(mask.convert("L")) > 0
        if not hole.any():
            return Image.fromarray(picture)
        radius = PATCH_RADIUS if min(hole.shape) >= SMALL_SIDE else 1
        _require_texture(hole, radius)
        box = _search_box(hole, radius)
        patch_match.set_random_seed(self._seed)
        filled = patch_match.inpaint(picture[box], hole[box], patch_size=radius)
        picture[box][hole[box]] = filled[hole[box]]
        return Image.fromarray(picture)

    def fingerprint(self) -> dict[str, str]:
        return {
            "anchor": self.name,
            "code": CODE_VERSION,
            "pypatchmatch": version("pypatchmatch"),
            "seed": str(self._seed),
        }


def _whole_patches(hole: np.ndarray, radius: int) -> int:
    """How many patches lie in the picture without touching the hole."""
    side = 2 * radius + 1
    if min(hole.shape) < side:
        return 0
    touched = cv2.dilate(hole.astype(np.uint8), np.ones((side, side), np.uint8))
    height, width = hole.shape
    return int((touched[radius : height - radius, radius : width - radius] == 0).sum())


def _require_texture(hole: np.ndarray, radius: int) -> None:
    if _whole_patches(hole, radius) == 0:
        side = 2 * radius + 1
        raise InputError(
            f"the hole covers {hole.mean():.1%} of a {hole.shape[1]}x{hole.shape[0]} picture and leaves no "
            f"{side}x{side} patch to copy from; use a smaller mask or an anchor that paints from a model"
        )


def _search_box(hole: np.ndarray, radius: int) -> tuple[slice, slice]:
    """The hole and as much around it again, for a search whose time does not grow with the frame."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    margin = max(CONTEXT, int(np.ptp(rows)), int(np.ptp(columns)))
    box = (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
    return box if _whole_patches(hole[box], radius) > 0 else (slice(None), slice(None))
