"""A report page of small real clips, whose top rows tell which frame is shown."""

import io
import shutil
from collections.abc import Sequence
from datetime import datetime, timezone
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from lib.metrics.definitions import METRICS
from lib.notes import Note, input_note
from lib.report.gallery import Clip, Gallery, GalleryVideo, Variant, VariantResult
from lib.report.thumbnails import save_thumbnail
from lib.scenes import Scene, render_scene
from lib.video.writer import write_clip

RESIZED = Note("masks of another size with the same aspect ratio were resized")
INTERLACED = "interlaced <top field first>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's package chromium is not installed")
FRAMES = 30
FPS = Fraction(24)
SIZE = (180, 320)  # height, width
MARK = 10  # pixels: the white square in the black top rows moves by its side each frame
NAMES = {"failed": "car <b>über</b> 100%?#", "skipped": "</script>", "done": "bear", "cached": "dog"}
STUDY = (
    Variant("full", "full", "prior, anchor, VLM prompt"),
    Variant("no_text", "no text", "an empty prompt"),
    Variant("no_prior", "no prior"),
    Variant("yaml", "YAML prompt", "the captions file"),
)


def marked(frames: np.ndarray) -> np.ndarray:
    """A copy with the frame's number drawn as a white square's place in the top rows."""
    shown = frames.copy()
    shown[:, :MARK] = 0
    for index, frame in enumerate(shown):
        frame[:MARK, index * MARK : (index + 1) * MARK] = 255
    return shown


def frame_in(picture: np.ndarray) -> int:
    """The frame's number from a picture (H, W, 3) of a marked frame at any size."""
    strip = picture[: max(1, picture.shape[0] * MARK // SIZE[0] - 1)].mean(axis=(0, 2))
    return int(np.average(np.arange(strip.size), weights=strip > 128) / picture.shape[1] * SIZE[1] // MARK)


@cache
def _scene(kind: str, seed: int) -> Scene:
    return render_scene(kind, SIZE, FRAMES, seed)  # type: ignore[arg-type]


def _results(scene: Scene) -> dict[str, np.ndarray]:
    """The truth, and worse and worse fillings of the hole."""
    pairs = list(zip(scene.frames, scene.masks, strict=True))
    telea = np.stack([cv2.inpaint(frame, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA) for frame, mask in pairs])
    gray = scene.frames.copy()
    gray[scene.masks] = 128
    return {"full": scene.clean, "no_text": telea, "no_prior": gray}


def write_media(folder: Path, kind: str, seed: int) -> dict[str, Path]:
    """Source, mask, coarse and results of a scene as mp4, and pictures."""
    scene = _scene(kind, seed)
    red = scene.frames.copy()
    red[scene.masks] = red[scene.masks] // 2 + np.array([127, 0, 0], np.uint8)
    results = _results(scene)
    clips = {"source": scene.frames, "mask": red, "coarse": results["no_text"], **results}
    files = {name: folder / f"{name}.mp4" for name in clips}
    for name, frames in clips.items():
        write_clip(files[name], marked(frames), FPS)
    pictures = {
        "thumbnail": results["full"][15],
        "anchor_frame": results["full"][0],
        "caption_frame": results["no_prior"][15],
    }
    return files | {name: save_thumbnail(frame, folder / f"{name}.jpg") for name, frame in pictures.items()}


def _clips(media: dict[str, Path]) -> list[Clip]:
    return [Clip(label, media[label]) for label in ("source", "mask", "coarse")]


def _values(quality: float) -> dict[str, float]:
    return {
        "psnr": 20 + 12 * quality,
        "psnr_inside": 12 + 15 * quality,
        "psnr_outside": 41.5,
        "ssim": 0.8 + 0.18 * quality,
        "ssim_inside": 0.5 + 0.4 * quality,
        "ssim_outside": 0.991,
        "warp_error_inside": 6 - 4 * quality,
        "flicker_inside": 2.5 - 2 * quality,
        "max_difference_kept": 5.0,
        "hole_share": 0.0613,
        "hole_share_max": 0.081,
        "hole_frames": 1.0,
    }


NO_NETWORKS = {
    "lpips": "no weights at weights/metrics/lpips (--lpips_path)",
    "temporal_consistency": "no weights at weights/metrics/clip-vit-large-patch14 (--clip_path)",
}


def result_of(variant: str, media: dict[str, Path], quality: float, file: str = "") -> VariantResult:
    """A finished result with all that can be told of one."""
    return VariantResult(
        variant,
        "done",
        result=media[file or variant],
        prompt="A quiet stone courtyard under soft light",
        anchor=media["anchor_frame"],
        seconds={"coarse": 12.5, "caption": 3.25, "refine": 75.0 * (1 + quality), "evaluate": 2.0},
        peak_memory_bytes=round((3 + quality) * 2**30),
        values=_values(quality),
        unavailable=NO_NETWORKS,
        judgement="clean (3 frames)",
        notes=(RESIZED, input_note(INTERLACED)),
        not_carried="stream 2 (data)",
        files=(media[file or variant], media["anchor_frame"]),
    )


def plain_gallery(folder: Path) -> Gallery:
    """A run: one video of each status; media in `folder`."""
    videos = []
    for index, (status, name) in enumerate(NAMES.items()):
        made = status in ("done", "cached")
        media = (
            write_media(folder / f"{index} 100%#", ("static", "pan")[index % 2], index) if status != "skipped" else {}
        )
        result = result_of("result", media, index / 3, "full") if made else VariantResult("result", status)  # type: ignore[arg-type]
        videos.append(
            GalleryVideo(
                name,
                status,  # type: ignore[arg-type]
                phase={"failed": "refine", "skipped": "scan"}.get(status, ""),
                reason={"failed": "out of memory\nat 1920x1080", "skipped": "no masks"}.get(status, ""),
                thumbnail=media.get("thumbnail"),
                clips=_clips(media)[: 3 if made else 2] if media else [],
                caption="A <i>quiet</i> stone courtyard under soft light, pale walls behind it" if made else "",
                caption_source="Qwen2.5-VL" if made else "",
                caption_flags=["mentions the object"] if status == "done" else [],
                caption_frame=media["caption_frame"] if made else None,
                results=[result],
                fps=float(FPS),
            )
        )
    return _gallery("auto-refine 2026-11-23 02:00", videos, [Variant("result", "Result")], folder)


def study_gallery(folder: Path) -> Gallery:
    """A study: two videos, three variants that differ and one that is the same as another."""
    videos = []
    for index, name in enumerate(("bear", "dog")):
        media = write_media(folder / name, ("static", "pan")[index], index)
        results = [
            result_of(key, media, quality) for key, quality in (("full", 1.0), ("no_text", 0.6), ("no_prior", 0.1))
        ]
        same = VariantResult("yaml", "cached", result=media["full"], same_as="full", values=_values(1.0))
        videos.append(GalleryVideo(name, "done", clips=_clips(media), thumbnail=media["thumbnail"],
                                   caption="A quiet courtyard", results=[*results, same], fps=float(FPS)))  # fmt: skip
    return _gallery("Ablation", videos, STUDY, folder)


def _gallery(title: str, videos: Sequence[GalleryVideo], variants: Sequence[Variant], folder: Path) -> Gallery:
    return Gallery(
        title,
        datetime(2026, 11, 23, 2, 30, tzinfo=timezone.utc),
        1800.0,
        videos,
        variants,
        metrics=list(METRICS.values()),
        means={variant.key: _values(1 - index / 3) for index, variant in enumerate(variants)},
        unavailable={**NO_NETWORKS, "vfid": "no weights at weights/metrics/i3d/i3d_rgb_imagenet.pt (--i3d_path)"},
        baseline=variants[0].key if len(variants) > 1 else "",
        differences={"no_prior": {"psnr": "-8.00 [-9.10, -6.90] dB: worse"}} if len(variants) > 1 else {},
        settings={"--engine": "propagation", "--video_length": "30"},
        links={"result folder": folder, "summary.json": folder / "summary.json"},
        remarks=["Ground truth equals the input: no numbers inside the hole."],
    )


def wait_until(page: Page, condition: str) -> None:
    """Playwright's own function for this needs an eval, which the page forbids."""
    for _ in range(500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"not within 10 s: {condition}")


def settled(page: Page) -> None:
    """All clips show where they were sought to."""
    wait_until(
        page,
        "[...document.querySelectorAll('dialog[open] video')]"
        ".every(video => video.error || video.readyState >= 2 && !video.seeking)",
    )
    page.wait_for_timeout(100)  # until it is painted


def open_video(page: Page, name: str) -> Locator:
    """Click on its name; all its clips are there."""
    page.locator("#table td.name button").get_by_text(name, exact=True).click()
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    settled(page)
    return viewer


def picture(locator: Locator) -> np.ndarray:
    """What is seen there, (H, W, 3) uint8 RGB."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))


def times(page: Page) -> list[float]:
    """Where the clips that are open stand, seconds."""
    return page.eval_on_selector_all("dialog[open] video", "all => all.map(video => video.currentTime)")
