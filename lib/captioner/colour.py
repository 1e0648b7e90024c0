"""Names of colours: the nearest of a small table in CIELAB, where distances are about as the eye sees them."""

from __future__ import annotations

import numpy as np

_TABLE: dict[str, tuple[int, int, int]] = {
    "black": (12, 12, 12),
    "dark gray": (65, 65, 65),
    "gray": (125, 125, 125),
    "light gray": (190, 190, 190),
    "white": (245, 245, 245),
    "red": (205, 35, 35),
    "dark red": (110, 20, 20),
    "pink": (240, 160, 180),
    "orange": (240, 135, 30),
    "brown": (125, 80, 45),
    "dark brown": (62, 42, 28),
    "tan": (180, 145, 105),
    "beige": (225, 210, 180),
    "yellow": (240, 220, 50),
    "olive": (110, 110, 50),
    "green": (60, 150, 60),
    "dark green": (30, 65, 35),
    "light green": (160, 215, 140),
    "teal": (30, 130, 130),
    "pale blue": (185, 215, 240),
    "light blue": (115, 175, 230),
    "blue": (40, 85, 200),
    "navy": (20, 30, 75),
    "slate blue": (90, 110, 140),
    "purple": (120, 50, 150),
    "lavender": (190, 165, 220),
}
COLOUR_NAMES: tuple[str, ...] = tuple(_TABLE)

_RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _RGB_TO_XYZ.sum(axis=1)  # D65


def srgb_to_lab(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 sRGB to (..., 3) float64 CIELAB (D65): L in 0..100, a and b about -100..100."""
    level = np.arange(256) / 255.0
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    ratio = linear[pixels] @ (_RGB_TO_XYZ / _WHITE[:, None]).T
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_TABLE_LAB = srgb_to_lab(np.array(list(_TABLE.values()), dtype=np.uint8))


def nearest_colour_names(lab: np.ndarray) -> np.ndarray:
    """(n, 3) Lab values to (n,) indices into `COLOUR_NAMES`."""
    distances = ((lab[:, None, :] - _TABLE_LAB[None]) ** 2).sum(axis=-1)
    return distances.argmin(axis=1)
