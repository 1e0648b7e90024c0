"""A video through phases 1 and 3 with the diffueraser engine, from files to files, captioner not counted.

    python benchmarks/whole_video.py            full-size random weights (needs a GPU and 20 GB in TMPDIR)
    python benchmarks/whole_video.py --tiny     tiny networks, to see that everything runs

Phase 1 at 432x240, phase 3 at 720x360 with guidance 2.0 and an anchor picture of 50 steps, 60 frames, three videos in
one process: the first is cold, the third is what every further one costs. The published code needs about 30 s a video
on an H100 80GB with models kept, and 79 s with a process a phase.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "propainter"), str(ROOT / "benchmarks")]

from fractions import Fraction

import numpy as np
from clips import moving_clip
from diffueraser_weights import weight_paths, write_diffueraser_weights
from full_weights import write_full_inpainting, write_full_weights
from PIL import Image
from prior import write_random_weights

from lib.anchor.sd_inpaint import SDInpaintAnchorInpainter
from lib.diffueraser.settings import EraserSettings
from lib.model_loads import model_loads
from lib.propainter.settings import PriorSettings
from lib.removers.clip_removal import Guidance, RemovalOutcome, remove_from_clip
from lib.removers.diffueraser import DiffuEraserRemover
from lib.removers.gpu import torch_device
from lib.removers.propainter import PropainterRemover
from lib.settings import Processing
from lib.video.datasets import Video
from lib.video.writer import write_clip

WORDS = "a quiet park with trees and a gravel path in soft light"


def make_video(folder: Path, name: str, frames: int, height: int, width: int) -> Video:
    clip, masks = moving_clip(frames, height, width, seed=len(name))
    folder.mkdir(parents=True, exist_ok=True)
    write_clip(folder / f"{name}.mp4", iter(clip), Fraction(24))
    for index, mask in enumerate(masks):
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name / f"{index:05d}.png")
    return Video(name=name, video_path=folder / f"{name}.mp4", mask_path=folder / name)


def run(video: Video, out: Path, remover: DiffuEraserRemover, anchor: SDInpaintAnchorInpainter, scale: float) -> None:
    """Both phases, and what each of their stages took."""
    full = Processing(height=round(360 * scale) // 8 * 8, width=round(720 * scale) // 8 * 8)
    low = full.model_copy(update={"height": round(240 * scale) // 8 * 8, "width": round(432 * scale) // 8 * 8})
    guidance = Guidance(anchor, 0, WORDS, "blurry", WORDS, "blurry", 2.0)
    started = time.perf_counter()
    coarse = remove_from_clip(video, out / "phase1" / video.name, remover, low)
    between = time.perf_counter()
    final = remove_from_clip(video, out / "final" / video.name, remover, full, guidance)
    ended = time.perf_counter()
    print(f"{video.name}: {ended - started:.1f} s = coarse {between - started:.1f} + refine {ended - between:.1f}")
    for outcome in (coarse, final):
        print("   ", _stages(outcome), flush=True)


def _stages(outcome: RemovalOutcome) -> str:
    return ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in outcome.seconds.items() if seconds >= 0.01)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="tiny networks and pictures")
    parser.add_argument("--offload", action="store_true", help="networks on the GPU only while they work")
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep what is written in this folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = args.keep or Path(temporary)
        weights = root / "weights"
        if args.tiny:
            write_diffueraser_weights(weights)
        else:
            write_full_weights(weights)
            write_full_inpainting(weights)
        (weights / "propainter").mkdir(parents=True, exist_ok=True)
        write_random_weights(weights / "propainter")
        precision = "fp32" if args.fp32 else "fp16"
        prior = PropainterRemover(weights / "propainter", PriorSettings(neighbor_length=25, ref_stride=6))
        settings = replace(EraserSettings(), offload=args.offload, precision=precision)
        remover = DiffuEraserRemover(weight_paths(weights), settings, prior)
        anchor = SDInpaintAnchorInpainter(
            weights / "stable-diffusion-inpainting", device=torch_device, offload=args.offload
        )
        scale, frames = (0.2, 30) if args.tiny else (1.0, 60)
        for name in ("first", "second", "the third"):
            video = make_video(root / "videos", name, frames, int(360 * scale), int(720 * scale))
            run(video, root / "out", remover, anchor, scale)
        print("loads", model_loads())
    return 0


if __name__ == "__main__":
    sys.exit(main())
