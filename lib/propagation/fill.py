"""Fetch colours at the ends of the chains and blend the two directions of time."""

from dataclasses import dataclass

import numpy as np

from lib.propagation.chain import Sources
from lib.propagation.sampling import read_points


@dataclass(frozen=True)
class Samples:
    """Colours of N pixels from one direction of time: (N, 3) uint8, and their age in frames, (N,) uint16, 0 = none."""

    colour: np.ndarray
    age: np.ndarray


def fetch(frames: np.ndarray, sources: Sources, wanted: np.ndarray, gains: np.ndarray, gain: np.ndarray) -> Samples:
    """Read the wanted sources' colours, once, with cubic interpolation.

    Args:
        frames: (T, H, W, 3) uint8 that `sources.frame` counts in.
        wanted: (N,) bool, which of the sources.
        gains: (T, 3) exposure of each frame. gain: (3,) exposure of the frame to fill.
    """
    frame, position = sources.frame[wanted], sources.position[wanted]
    age = np.where(frame >= 0, sources.age[wanted], 0).astype(np.uint16)
    colour = np.zeros((len(frame), 3), np.uint8)
    for index in np.unique(frame[frame >= 0]):
        part = np.flatnonzero(frame == index)
        values = read_points(frames[index], position[part])
        ratio = gain / gains[index]
        if np.abs(ratio - 1).max() > 1e-6:
            values = np.clip(np.rint(values * ratio), 0, 255).astype(np.uint8)
        colour[part] = values
    return Samples(colour, age)


def blend(past: Samples, future: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Colours weighted by 1 / age: (N, 3) uint8, and (N,) bool, True where neither direction shows the pixel."""
    weights = [np.where(side.age > 0, 1 / np.maximum(side.age, 1), 0) for side in (past, future)]
    total = weights[0] + weights[1]
    missing = total == 0
    share = (weights[0] / np.where(missing, 1, total))[:, None]
    colour = share * past.colour + (1 - share) * future.colour
    return np.rint(colour).astype(np.uint8), missing
