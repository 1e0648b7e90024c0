"""Clips on disk for evaluations: a textured plate, an object that moves over it, masks, a result, a ground truth."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from tests_support import write_frames

from lib.metrics.evaluation import ClipFiles, Protocol, evaluate_clip
from lib.metrics.scores import Scores
from lib.settings import Processing
from lib.video.compose import Feather, compose
from lib.video.masks import dilate
from lib.video.writer import write_lossless

HEIGHT, WIDTH = 80, 120
PROCESSING = Processing(mask_dilation_iter=2)
BLEND = Feather(3)


def plate(frames: int = 6, shift: int = 0, seed: int = 1) -> np.ndarray:
    """(T, H, W, 3) uint8 texture that moves right by `shift` pixels a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (HEIGHT // 4, (WIDTH + 200) // 4, 3), np.uint8)
    wide = cv2.resize(coarse, (WIDTH + 200, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.stack([wide[:, 100 - n * shift : 100 - n * shift + WIDTH] for n in range(frames)])


def object_masks(frames: int = 6, speed: int = 0) -> np.ndarray:
    """(T, H, W) bool: a box that moves right by `speed` pixels a frame."""
    masks = np.zeros((frames, HEIGHT, WIDTH), bool)
    for n in range(frames):
        masks[n, 28:52, 30 + n * speed : 62 + n * speed] = True
    return masks


def with_object(clean: np.ndarray, masks: np.ndarray) -> np.ndarray:
    frames = clean.copy()
    frames[masks] = (240, 30, 30)
    return frames


class Case:
    """Files of one evaluation."""

    def __init__(self, folder: Path, clean: np.ndarray, masks: np.ndarray) -> None:
        self.folder, self.clean, self.masks = folder, clean, masks
        self.source = with_object(clean, masks)
        self.holes = dilate(masks, PROCESSING.mask_dilation_iter)
        write_frames(folder / "source", self.source)
        write_frames(folder / "masks", masks.astype(np.uint8) * 255)
        self.truth = self.lossless("truth", clean)

    def lossless(self, name: str, frames: np.ndarray) -> Path:
        path = self.folder / f"{name}.mkv"
        write_lossless(path, frames, Fraction(24))
        return path

    def composed(self, filled: np.ndarray) -> np.ndarray:
        """The result of an engine whose filling this is."""
        return np.stack(list(compose(self.source, filled, self.holes, BLEND)))

    def scores(self, result: np.ndarray, truth: Path | str | None = "", protocol: Protocol = "plain") -> Scores:
        path = self.lossless("result", result)
        wanted = self.truth if truth == "" else truth
        assert not isinstance(wanted, str)
        files = ClipFiles(self.folder / "source", self.folder / "masks", path, wanted)
        return evaluate_clip(files, PROCESSING, BLEND, protocol=protocol)[0]
