"""Read pictures between pixels."""

import cv2
import numpy as np

COLUMNS = 1024  # points are laid out as rows of this many: remap takes no side of 32768 or more


def read_points(picture: np.ndarray, position: np.ndarray, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """(N, C) values of an (H, W, C) picture at (N, 2) positions (x, y); the picture is mirrored at its border."""
    count = len(position)
    rows = max(-(-count // COLUMNS), 1)
    grid = np.zeros((2, rows * COLUMNS), np.float32)
    grid[:, :count] = position.T
    x, y = grid.reshape(2, rows, COLUMNS)
    values = cv2.remap(picture, x, y, interpolation, borderMode=cv2.BORDER_REFLECT_101)
    return values.reshape(rows * COLUMNS, -1)[:count]
