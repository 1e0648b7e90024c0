"""`make demo`: renders a scene with an exact clean plate, removes its object through all three phases, measures.

No GPU, no weights, no server.
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from PIL import Image

from lib.metrics.psnr import masked_psnr
from lib.scenes import Scene, render_scene
from lib.video.clip import read_clip

NAME = "pan"
REPORT = Path("report", "index.html")
SCRIPT = Path(__file__).with_name("auto_refine.py")


def write_dataset(scene: Scene, folder: Path) -> None:
    """The scene as a DAVIS-like data set: `videos/<name>/*.png`, `masks/…`, and the ground truth `clean/…`."""
    masks = scene.masks.astype(np.uint8) * 255
    for kind, pictures in (("videos", scene.frames), ("masks", masks), ("clean", scene.clean)):
        place = folder / kind / NAME
        place.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(place / f"{index:05d}.png")


def write_before_after(scene: Scene, result: np.ndarray, path: Path) -> None:
    """The middle frame: source, hole, result and clean plate in a row."""
    index = len(result) // 2
    hole = scene.frames[index].copy()
    hole[scene.masks[index]] = (255, 0, 255)
    row = np.concatenate([scene.frames[index], hole, result[index], scene.clean[index]], axis=1)
    Image.fromarray(row).save(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", type=Path, default=Path("demo_output"))
    output_dir = parser.parse_args().output_dir.absolute()
    data = output_dir / "data"
    scene = render_scene("pan")
    write_dataset(scene, data)
    command = [sys.executable, str(SCRIPT), "--engine", "propagation", "--dataset", "davis", "--save_comparison"]
    command += ["--video_root", str(data / "videos"), "--mask_root", str(data / "masks")]
    command += ["--gt_root", str(data / "clean")]
    code = subprocess.run([*command, "--output_dir", str(output_dir)], check=False).returncode
    if code:
        return code
    path = output_dir / "final" / NAME / "propagation.mp4"
    result = read_clip(path).frames
    write_before_after(scene, result, output_dir / "before_after.png")
    before, after = (masked_psnr(scene.clean, frames, scene.masks) for frames in (scene.frames, result))
    print(f"\nresult:       {path}\ncomparison:   {path.with_name('comparison_4in1.mp4')}")
    print(f"report:       {output_dir / REPORT}")
    print(f"before/after: {output_dir / 'before_after.png'} (source, hole, result, clean plate)")
    print(f"PSNR in the hole against the clean plate: {after:.1f} dB (with the object: {before:.1f} dB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
