"""On rendered scenes with clean plates, the numbers put results in the order that everybody would."""

import numpy as np
import pytest
from evaluation_support import BLEND, PROCESSING
from tests_support import write_frames

from lib.metrics.evaluation import ClipFiles, evaluate_clip
from lib.propagation.anchor_fill import paint_with_telea
from lib.propagation.engine import propagate
from lib.propagation.settings import PropagationSettings
from lib.scenes import render_scene
from lib.video.compose import compose
from lib.video.masks import dilate


@pytest.mark.parametrize("kind", ["pan", "parallax"])
def test_truth_before_propagation_before_telea(kind, tmp_path):
    scene = render_scene(kind, (144, 256), frames=16)
    holes = dilate(scene.masks, PROCESSING.mask_dilation_iter)
    filled = {
        "truth": scene.clean,
        "two passes": _propagated(scene.frames, holes, 2),
        "one pass": _propagated(scene.frames, holes, 1),
        "telea": np.stack([paint_with_telea(*pair) for pair in zip(scene.frames, holes, strict=True)]),
    }
    masks = scene.masks.astype(np.uint8) * 255
    for name, clip in (("source", scene.frames), ("masks", masks), ("truth", scene.clean)):
        write_frames(tmp_path / name, clip)
    scores = {}
    for name, clip in filled.items():
        result = write_frames(tmp_path / f"result {name}", np.stack(list(compose(scene.frames, clip, holes, BLEND))))
        files = ClipFiles(tmp_path / "source", tmp_path / "masks", result, tmp_path / "truth")
        scores[name] = evaluate_clip(files, PROCESSING, BLEND)[0].values
    for key in ("psnr_inside", "ssim_inside"):
        truth, two, one, telea = (scores[name][key] for name in filled)
        assert truth > two >= one - 1e-3
        assert one > telea
    assert scores["telea"]["warp_error_inside"] > scores["two passes"]["warp_error_inside"]
    assert all(values["max_difference_kept"] == 0 for values in scores.values())


def _propagated(frames: np.ndarray, holes: np.ndarray, passes: int) -> np.ndarray:
    return propagate(frames, holes, PropagationSettings().with_passes(passes), inpaint=paint_with_telea).frames
