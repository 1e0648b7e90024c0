"""The tiny inputs that stored keys and the stored output folder belong to, and a folder of work laid out with them.

`inputs/` holds three videos of 4 frames of 48x64 pixels, laid out as the data set `custom`: `bear` (a folder of PNG
files, masks with the palette indices 1 and 2), `car` (a folder of PNG files, gray masks) and `clip` (H.264 at 24 frames
a second, gray masks). `bear` has a ground truth.
"""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from tests_support import moving_square, write_frames

from lib.video.writer import write_clip

STORED = Path(__file__).resolve().parent
INPUTS, OUTPUT, PARAMETERS, KEYS = (STORED / name for name in ("inputs", "output", "parameters", "keys.json"))
NAMES = ("bear", "car", "clip")
_FRAMES, _HEIGHT, _WIDTH = 4, 48, 64
_OWN_PROMPT = "prompt: [a wall of red bricks]\nn_prompt: [people]\ntext_guidance_scale: 1.5\n"
# Weights whose place alone is looked at; their content is replaced (`pins.py`).
_STAND_INS = (
    "stable-diffusion-v1-5/text_encoder/model.safetensors",
    "sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
    "diffuEraser/brushnet/diffusion_pytorch_model.safetensors",
    "diffuEraser/unet_main/diffusion_pytorch_model.safetensors",
    "propainter/raft-things.pth",
)


def lay_out(folder: Path) -> Path:
    """Everything that the cases' relative paths name, below `folder`: inputs, an inbox, words, weights."""
    shutil.copytree(INPUTS, folder, dirs_exist_ok=True)
    for name in NAMES:
        inbox = folder / "inbox" / name
        inbox.mkdir(parents=True)
        for kind in ("video", "mask"):
            path = next((INPUTS / f"{kind}s").glob(f"{name}*"))
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, inbox / f"{kind}{path.suffix}")
    (folder / "prompt.yaml").write_text(_OWN_PROMPT, encoding="utf-8")
    (folder / "rules.txt").write_text("Describe the background in one sentence.\n", encoding="utf-8")
    for name in _STAND_INS:
        (folder / "weights" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "weights" / name).touch()
    return folder


def make_inputs(root: Path) -> None:
    """Write the inputs as they are stored. They are made once: another encoder would give another `clip.mp4`."""
    for seed, name in enumerate(NAMES):
        frames, masks = moving_square(seed, _FRAMES, _HEIGHT, _WIDTH)
        if name == "clip":
            write_clip(root / "videos" / "clip.mp4", frames, Fraction(24))
        else:
            write_frames(root / "videos" / name, list(frames))
        write_frames(root / "masks" / name, list(masks))
    _number_objects(root / "masks" / "bear")
    write_frames(root / "truths" / "bear", list(moving_square(0, _FRAMES, _HEIGHT, _WIDTH, with_object=False)[0]))


def _number_objects(folder: Path) -> None:
    """Make of gray masks an annotation: the object's upper part is 1, its lower part 2."""
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as picture:
            mask = np.asarray(picture) > 0
        ids = mask.astype(np.uint8)
        ids[_HEIGHT // 2 :] *= 2
        annotation = Image.fromarray(ids).convert("P")
        annotation.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
        annotation.save(path)
