"""Short synthetic clips with an exact clean plate: a textured scene, a camera path, an object drawn over it.

The picture of a frame is sampled from one large canvas at twice the resolution and averaged down, so camera motion is
subpixel and free of aliasing. Outside the object a frame and its clean plate are the same bytes.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

SceneKind = Literal["static", "pan", "zoom", "parallax"]
OVERSAMPLING = 2
REFERENCE_WIDTH = 432  # motions and object sizes below are in pixels of a frame this wide
SENSOR_NOISE = 0.5  # gray levels; without it the static scene would be solved by copying any frame
NEAR_SPEED = {"parallax": 1.5, "zoom": 1.3}  # scenes with a near layer, and how much faster that moves


@dataclass(frozen=True)
class Scene:
    """frames, clean: (T, H, W, 3) uint8 RGB; masks: (T, H, W) bool, True on the object and a rim around it."""

    frames: np.ndarray
    masks: np.ndarray
    clean: np.ndarray


@dataclass(frozen=True)
class SceneOptions:
    """What makes a scene harder than its kind; the defaults change nothing."""

    cut_at: int | None = None  # from this frame on the clip shows another place
    speed: float = 1.0  # factor on the camera's motion; 20 gives about 50 px a frame in "pan"
    exposure_drift: float = 0.0  # relative gain reached at the last frame, e.g. 0.3 = 30 % brighter
    object_follows_scene: bool = False  # the object stands still in the scene: what is behind it is never seen
    noise: float = SENSOR_NOISE  # gray levels, the same in frames and clean plate


def render_scene(
    kind: SceneKind,
    size: tuple[int, int] = (240, 432),
    frames: int = 60,
    seed: int = 7,
    options: SceneOptions | None = None,
) -> Scene:
    """Render a clip of `frames` pictures of `size` (height, width); the same arguments give the same bytes.

    Raises:
        ValueError: fewer than 1 frame, or a side under 32.
    """
    height, width = size
    if frames < 1 or min(size) < 32:
        raise ValueError(f"a scene needs at least 1 frame and sides of at least 32, got {frames} frames of {size}")
    options = options or SceneOptions()
    cut = frames if options.cut_at is None else min(max(options.cut_at, 0), frames)
    poses = _camera_path(kind, size, frames, options.speed, seed)
    clean = np.empty((frames, height, width, 3), np.uint8)
    for start, stop, place in ((0, cut, 0), (cut, frames, 1)):
        if start < stop:
            _render_place(clean[start:stop], kind, poses[start:stop], np.random.default_rng((seed, place)))
    _degrade(clean, options.noise, options.exposure_drift, np.random.default_rng((seed, 2)))
    pictures, masks = _draw_object(clean, poses if options.object_follows_scene else None, seed)
    return Scene(pictures, masks, clean)


def _camera_path(kind: SceneKind, size: tuple[int, int], frames: int, speed: float, seed: int) -> np.ndarray:
    """(T, 3, 3) matrices from frame pixels to scene pixels (of the far layer)."""
    unit = size[1] / REFERENCE_WIDTH
    time = np.arange(frames) * speed
    phase = np.random.default_rng((seed, 3)).uniform(0, 2 * np.pi, 4)
    shake_x = unit * (1.3 * np.sin(0.37 * time + phase[0]) + 0.5 * np.sin(1.1 * time + phase[1]))
    shake_y = unit * (1.1 * np.sin(0.29 * time + phase[2]) + 0.4 * np.sin(0.9 * time + phase[3]))
    turn, scale = np.zeros(frames), np.ones(frames)
    if kind == "static":
        shift_x, shift_y = np.zeros(frames), np.zeros(frames)
    elif kind == "zoom":
        scale, turn = np.exp(-0.006 * time), 0.0009 * time
        shift_x, shift_y = 1.2 * unit * time + shake_x, 0.4 * unit * time + shake_y
    else:
        turn = 0.006 * np.sin(0.11 * time + phase[1])
        shift_x, shift_y = 2.5 * unit * time + shake_x, 0.3 * unit * time + shake_y
    return np.stack([_pose(*values, size) for values in zip(shift_x, shift_y, turn, scale, strict=True)])


def _pose(shift_x: float, shift_y: float, turn: float, scale: float, size: tuple[int, int]) -> np.ndarray:
    centre_x, centre_y = (size[1] - 1) / 2, (size[0] - 1) / 2
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    around_centre = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    to_centre = np.array([[1, 0, -centre_x], [0, 1, -centre_y], [0, 0, 1.0]])
    back = np.array([[1, 0, centre_x + shift_x], [0, 1, centre_y + shift_y], [0, 0, 1.0]])
    return back @ around_centre @ to_centre


def _render_place(clean: np.ndarray, kind: SceneKind, poses: np.ndarray, rng: np.random.Generator) -> None:
    """Write the pictures that the camera sees at `poses` into `clean`."""
    height, width = clean.shape[1:3]
    far, far_origin = _canvas_for(poses, (height, width), rng)
    near_poses = _nearer(poses, NEAR_SPEED.get(kind, 1.0))
    near, near_origin, cover = far, far_origin, None
    if kind in NEAR_SPEED:
        near, near_origin = _canvas_for(near_poses, (height, width), rng)
        cover = _near_cover(near.shape[:2], width, rng)
    for index, pose in enumerate(poses):
        picture = _view(far, far_origin, pose, (height, width))
        if cover is not None:
            alpha = _view(cover, near_origin, near_poses[index], (height, width))[..., None]
            picture = picture * (1 - alpha) + _view(near, near_origin, near_poses[index], (height, width)) * alpha
        clean[index] = _average_down(picture, (height, width))


def _nearer(poses: np.ndarray, ratio: float) -> np.ndarray:
    """The poses seen by a layer nearer to the camera: its shift grows, its turn and scale do not."""
    nearer = poses.copy()
    nearer[:, :2, 2] = poses[0, :2, 2] + ratio * (poses[:, :2, 2] - poses[0, :2, 2])
    return nearer


def _canvas_for(
    poses: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[float, float]]:
    """A textured canvas that covers every view, and the scene position (x, y) of its first pixel."""
    height, width = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1.0]]).T
    seen = (poses @ corners)[:, :2]
    low, high = seen.min(axis=(0, 2)) - 8, seen.max(axis=(0, 2)) + 8
    columns, rows = (int(np.ceil(side * OVERSAMPLING)) for side in high - low)
    return _textured_canvas((rows, columns), OVERSAMPLING * width / REFERENCE_WIDTH, rng), (
        float(low[0]),
        float(low[1]),
    )


def _textured_canvas(size: tuple[int, int], unit: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: 1/f noise, shapes with sharp edges, fine grain. `unit`: canvas pixels per frame pixel."""
    height, width = size
    tint = rng.uniform(-1, 1, 3)
    hue = _pink_noise(size, 1.9, rng)[..., None]
    canvas = 118 + 22 * _pink_noise(size, 1.5, rng)[..., None] + 20 * tint + 12 * hue * np.roll(tint, 1)
    canvas = np.ascontiguousarray(canvas, np.float32)
    for _ in range(int(height * width / (unit * unit) / 420)):
        _draw_shape(canvas, unit, rng)
    canvas += 4.5 * _pink_noise(size, 0.8, rng)[..., None]
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.75 * unit), 4, 250)


def _draw_shape(canvas: np.ndarray, unit: float, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    centre = (int(rng.integers(width)), int(rng.integers(height)))
    contrast = rng.uniform(7, 28) * rng.choice((-1, 1))
    colour = tuple(float(value) for value in canvas[centre[1], centre[0]] + contrast + rng.uniform(-11, 11, 3))
    reach = unit * rng.uniform(4, 22)
    choice = rng.integers(3)
    if choice == 0:
        box = cv2.boxPoints((centre, (reach * rng.uniform(0.3, 1.5), reach), float(rng.uniform(0, 180))))
        cv2.fillConvexPoly(canvas, box.astype(np.int32), colour, cv2.LINE_AA)
    elif choice == 1:
        axes = (max(int(reach / 2), 1), max(int(reach * rng.uniform(0.2, 0.6)), 1))
        cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    else:
        angle = rng.uniform(0, np.pi)
        end = (int(centre[0] + 3 * reach * np.cos(angle)), int(centre[1] + 3 * reach * np.sin(angle)))
        cv2.line(canvas, centre, end, colour, max(int(unit * rng.uniform(0.8, 2.5)), 1), cv2.LINE_AA)


def _pink_noise(size: tuple[int, int], exponent: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 of mean 0 and standard deviation 1 whose amplitude falls as 1 / frequency ** exponent."""
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    frequency = np.hypot(rows, columns).astype(np.float32)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(size, dtype=np.float32)) / frequency**exponent
    noise = np.fft.irfft2(spectrum, s=size).astype(np.float32)
    return (noise - noise.mean()) / noise.std()


def _near_cover(size: tuple[int, int], width: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 alpha of the near layer: a hedge along the bottom and posts that rise from it."""
    height, canvas_width = size
    unit = OVERSAMPLING * width / REFERENCE_WIDTH
    crest = height * 0.68 + 0.05 * height * np.cumsum(rng.standard_normal(canvas_width)) / np.sqrt(canvas_width)
    crest = cv2.GaussianBlur(crest.astype(np.float32)[None], (0, 0), 10 * unit)[0]
    cover = (np.arange(height)[:, None] > crest[None]).astype(np.float32)
    for left in np.arange(60 * unit, canvas_width, 165 * unit):
        post = int(left + unit * rng.uniform(-20, 20))
        cover[int(height * rng.uniform(0.25, 0.45)) :, post : post + int(17 * unit)] = 1
    return cv2.GaussianBlur(cover, (0, 0), 0.75 * unit)


def _view(canvas: np.ndarray, origin: tuple[float, float], pose: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The canvas as the camera at `pose` sees it, still oversampled."""
    half = (OVERSAMPLING - 1) / (2 * OVERSAMPLING)
    to_frame = np.array([[1 / OVERSAMPLING, 0, -half], [0, 1 / OVERSAMPLING, -half], [0, 0, 1]])
    to_canvas = np.array([[OVERSAMPLING, 0, -OVERSAMPLING * origin[0]], [0, OVERSAMPLING, -OVERSAMPLING * origin[1]]])
    return cv2.warpAffine(
        canvas,
        to_canvas @ pose @ to_frame,
        (size[1] * OVERSAMPLING, size[0] * OVERSAMPLING),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _average_down(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    small = cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _degrade(clean: np.ndarray, noise: float, exposure_drift: float, rng: np.random.Generator) -> None:
    """Sensor noise and a slow change of exposure, written into the plate itself."""
    if noise == 0 and exposure_drift == 0:
        return
    for index, picture in enumerate(clean):
        gain = 1 + exposure_drift * index / max(len(clean) - 1, 1)
        degraded = picture * gain + noise * rng.standard_normal(picture.shape, dtype=np.float32)
        clean[index] = np.clip(np.rint(degraded), 0, 255)


def _draw_object(clean: np.ndarray, poses: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames with the object, and its masks. With `poses` the object keeps its place in the scene."""
    count, height, width = clean.shape[:3]
    unit = width / REFERENCE_WIDTH
    texture = np.random.default_rng((seed, 4)).uniform(60, 240, (12, 8, 3)).astype(np.float32)
    frames, masks = clean.copy(), np.zeros(clean.shape[:3], bool)
    for index in range(count):
        path = index / max(count - 1, 1)
        centre = np.array([width * (0.2 + 0.58 * path), height * (0.5 + 0.16 * np.sin(7 * path))])
        if poses is not None:
            in_scene = poses[count // 2] @ [width * 0.5, height * 0.5, 1]
            centre = (np.linalg.inv(poses[index]) @ in_scene)[:2]
        shape = _object_shape((height, width), centre, unit, 0.35 * np.sin(0.25 * index))
        colours = cv2.resize(np.roll(texture, index // 8, axis=0), (width, height), interpolation=cv2.INTER_LINEAR)
        alpha = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.6)[..., None]
        frames[index] = np.rint(clean[index] * (1 - alpha) + colours * alpha)
        masks[index] = cv2.dilate(shape, np.ones((7, 7), np.uint8)) > 0
    return frames, masks


def _object_shape(size: tuple[int, int], centre: np.ndarray, unit: float, swing: float) -> np.ndarray:
    """(H, W) uint8: an upright body with a head and a swinging limb."""
    shape = np.zeros(size, np.uint8)
    x, y = (float(value) for value in centre)
    body = ((x, y + 8 * unit), (50 * unit, 78 * unit), float(np.degrees(0.3 * swing)))
    cv2.ellipse(shape, body, 1, -1)
    cv2.circle(shape, (round(x), round(y - 38 * unit)), round(14 * unit), 1, -1)
    limb = (round(x + 44 * unit * np.cos(swing)), round(y + 44 * unit * np.sin(swing)))
    cv2.line(shape, (round(x), round(y)), limb, 1, max(round(9 * unit), 1))
    return shape
