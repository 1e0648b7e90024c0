"""The clips and options of the reference's whole runs."""

from pathlib import Path
from typing import Any

import numpy as np
from golden_support import Golden, digest, make_clip
from PIL import Image
from tests_support import write_frames

from lib.propainter.settings import PriorSettings

MASK_COLOUR = (3, 90, 40)
READING_DEFAULTS = {"video_length": 2, "save_fps": 24}
DRIVER_DEFAULTS = {
    "resize_ratio": 0.6,
    "width": -1,
    "height": -1,
    "mask_dilation": 4,
    "ref_stride": 10,
    "neighbor_length": 10,
    "subvideo_length": 80,
    "raft_iter": 20,
}


def input_files(golden: Golden, folder: Path) -> tuple[Path, Path]:
    """Where frames and masks are: beside the golden, or in files made for it."""
    params = golden.params
    frames, masks = made_clip(golden)
    if "frames_file" in params:
        frames_path = golden.path.with_name(params["frames_file"])
    else:
        assert params["frames_src"] == "dir"
        frames_path = write_frames(folder / "frames", frames)
    if "masks_file" in params:
        masks_path = golden.path.with_name(params["masks_file"])
    elif params["masks_src"] == "png":
        masks_path = folder / "mask.png"
        Image.fromarray(masks[params["mask_png_index"]]).save(masks_path)
    else:
        if params["masks_src"] == "rgb_dir":
            masks = (masks[..., None] > 0) * np.array(MASK_COLOUR, np.uint8)
        else:
            assert params["masks_src"] == "dir"
        masks_path = write_frames(folder / "masks", masks)
    return frames_path, masks_path


def made_clip(golden: Golden) -> tuple[np.ndarray, np.ndarray]:
    params = golden.params
    count = max(params["T"], params["n_masks"])
    frames, masks = make_clip(params["clip_seed"], count, params["H"], params["W"], **params["clip"])
    return frames[: params["T"]], masks[: params["n_masks"]]


def check_inputs(golden: Golden, frames: np.ndarray, masks: list[np.ndarray]) -> None:
    """The goldens hold hashes of what was made; videos of it may be lossy, so what was read may be hashed instead."""
    made_frames, made_masks = made_clip(golden)
    assert golden.params["frames_sha"] in {digest(made_frames), digest(frames)}
    assert golden.params["masks_sha"] in {digest(made_masks), digest(np.stack(masks))}


def options(arguments: dict[str, Any]) -> tuple[dict[str, Any], PriorSettings]:
    """A reference run's arguments as those of `read_frames`, and as settings."""
    arguments = READING_DEFAULTS | DRIVER_DEFAULTS | arguments
    reading = {name: arguments.pop(name) for name in READING_DEFAULTS}
    arguments["raft_iterations"] = arguments.pop("raft_iter")
    arguments.pop("fp16", None)  # a CPU never uses it
    return reading, PriorSettings(**arguments, numerics="reference")
