"""What every number means: shown wherever the numbers are."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One kind of number."""

    key: str  # in files and tables
    label: str
    unit: str  # empty for plain numbers
    better: Literal["higher", "lower", ""]  # empty: neither
    definition: str
    source: str  # who defined it
    needs: str  # besides source, masks and result


_TRUTH = "ground truth (--gt_root)"
_WANG = "Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, IEEE TIP 2004"
_PSNR = (
    "10 log10(255² / mean squared error) against the ground truth; equal pixels count as 100 dB. Protocol plain: one "
    "mean over all pixels of the clip; protocol propainter: at 432x240, the mean of the frames' values. Published "
    "programs make their results at 432x240; here larger ones are scaled down, and what was encoded is measured."
)
_SSIM = (
    "Structural similarity with the ground truth, per channel with uniform windows (protocol plain: 7x7 at full size; "
    "propainter: 65x65 at 432x240), mean over pixels and frames."
)
_WHERE = {"": ("", "All pixels."), "_inside": (" in the hole", "Only pixels of the widened mask."),
          "_outside": (" around the hole", "Only pixels outside the widened mask: what encoding costs.")}  # fmt: skip


def _against_truth(key: str, label: str, unit: str, definition: str, source: str) -> list[Metric]:
    return [
        Metric(f"{key}{ending}", f"{label}{where}", unit, "higher", f"{definition} {which}", source, _TRUTH)
        for ending, (where, which) in _WHERE.items()
    ]


def _hole(key: str, label: str, unit: str, definition: str) -> Metric:
    return Metric(key, label, unit, "", definition, "this project", "")


_ALL = [
    *_against_truth("psnr", "PSNR", "dB", _PSNR, "mean squared error against the peak 255; scikit-image"),
    *_against_truth("ssim", "SSIM", "", _SSIM, f"{_WANG}; scikit-image"),
    Metric(
        "lpips",
        "LPIPS",
        "",
        "lower",
        "Learned perceptual distance from the ground truth (v0.1, AlexNet): weighted differences of "
        "normalised features of five layers, mean over pixels and frames, whole frames.",
        "Zhang, Isola, Efros, Shechtman, Wang: The unreasonable effectiveness of deep features, CVPR 2018",
        f"{_TRUTH}, --lpips_path",
    ),
    Metric(
        "vfid",
        "VFID",
        "",
        "lower",
        "Fréchet distance between I3D features (mean of Mixed_5c over time and pixels, of frames at 432x240) of all "
        "results and of all ground truths, one number for the data set. Protocol propainter: batch norm by each clip's "
        "own statistics, as the published programs of papers have it; plain: by the stored ones. The two differ "
        "widely. Few videos bias it: compare only equal sets.",
        "Wang et al.: Video-to-video synthesis, NeurIPS 2018; I3D: Carreira, Zisserman, CVPR 2017",
        f"{_TRUTH} of at least two videos, --i3d_path",
    ),
    Metric(
        "temporal_consistency",
        "Temporal consistency",
        "",
        "higher",
        "Mean cosine similarity of the CLIP embeddings of neighbouring frames of the result.",
        "Esser et al.: Structure and content-guided video synthesis, ICCV 2023 (frame consistency)",
        "--clip_path",
    ),
    Metric(
        "warp_error_inside",
        "Warp error in the hole",
        "gray levels",
        "lower",
        "Mean absolute difference in the hole between a frame of the result and its predecessor moved along the "
        "optical flow. The flow is the source's around the hole, carried on into it (inside, the source moves as "
        "the object did); only where flow forth and back agree. Blurred results score well.",
        "after Lai et al.: Learning blind video temporal consistency, ECCV 2018",
        "",
    ),
    Metric(
        "flicker_inside",
        "Flicker in the hole",
        "gray levels",
        "lower",
        "Amplitude of the change from frame to frame of the hole's mean brightness, as against its surroundings: half "
        "the mean absolute deviation from the mean of both neighbouring frames.",
        "this project",
        "three frames in a row with a hole",
    ),
    Metric(
        "max_difference_kept",
        "Largest change elsewhere",
        "gray levels",
        "lower",
        "Largest difference of any channel between result and source beyond the blend around the hole. 0 before "
        "encoding; in an mp4 it is what the encoder changed.",
        "this project",
        "",
    ),
    _hole("hole_share", "Hole", "share of the frame", "Mean share of the frame that the widened mask covers."),
    _hole("hole_share_max", "Largest hole", "share of the frame", "The same, of the frame where it is largest."),
    _hole("hole_frames", "Frames with a hole", "share of the frames", "Share of the frames with any mask."),
]
METRICS: dict[str, Metric] = {metric.key: metric for metric in _ALL}
