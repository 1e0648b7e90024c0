"""Masks, masked frames and composing: all of it exact."""

import numpy as np
from eraser_goldens import Golden, each_golden

from lib.diffueraser.reference_inputs import masked_images, process_masks
from lib.video.compose import Feather, GaussianBlend, compose


@each_golden("mask")
def test_masks_and_composing(golden_path):
    golden = Golden(golden_path)
    frames, generated = golden.array("frames"), golden.array("generated")
    size = tuple(golden.meta["size_wh"])
    assert frames.shape[1:3] == size[::-1]
    masks = process_masks(golden.array("mask_bgr"), size, golden.meta["mask_dilation_iter"])
    holes = masks > 0
    golden.check_all(
        {
            "masks": masks,
            "masked_images": masked_images(frames, masks),
            "blend_mask": np.stack([shares(hole) for hole in holes]),
            "comp_blended": np.stack(list(compose(frames, generated, holes, GaussianBlend()))),
            "comp_plain": np.stack(list(compose(frames, generated, holes, Feather(0)))),
        }
    )


def shares(hole):
    """The 8-bit share of the generated frame: white over black, a shade brighter so that cutting loses nothing."""
    black = np.zeros((*hole.shape, 3), np.float32)
    return GaussianBlend().mix(black, black + 255.01, hole)[..., 0]
