"""Sizes, resizing, masks, windows: the arithmetic around the networks."""

import numpy as np
from golden_support import Golden, each_golden, images_in_range

from lib.propainter.plan import windows
from lib.propainter.reference_inputs import read_masks
from lib.propainter.settings import PriorSettings
from lib.propainter.sizes import prepare_masks, resize_frames_bicubic, resize_frames_bilinear, size_rule


@each_golden("helpers")
def test_pictures_and_masks(golden_path, tmp_path):
    golden = Golden(golden_path)
    width, height = golden.params["dst"]
    resized = resize_frames_bicubic(golden.input("frame")[None], (width, height))
    values = {
        "frame_resized": resized[0],
        "frame_written_size": resize_frames_bilinear(resized, (width + 3, height + 5))[0],
        "to_tensor": images_in_range(resized)[None],
    }
    for name in golden.inputs():
        if name.startswith("png_"):
            values |= masks_of(golden, name.removeprefix("png_"), tmp_path)
    golden.check_all(values)


def masks_of(golden, mode, folder):
    path = folder / f"{mode}.png"
    path.write_bytes(golden.input(f"png_{mode}").tobytes())
    size, read = tuple(golden.params["dst"]), read_masks(path, 1)
    return {
        f"mask_{mode}_dil{dilation}": prepare_masks(read, size, dilation)[0].astype(np.uint8) * 255
        for dilation in golden.params["dilations"]
    }


@each_golden("helpers")
def test_size_rule(golden_path):
    rows = Golden(golden_path).params["size_rule"]
    assert rows
    for *source, ratio, width, height, process_w, process_h, output_w, output_h in rows:
        rule = size_rule(tuple(source), ratio, width, height)
        assert (rule.process, rule.output) == ((process_w, process_h), (output_w, output_h))


@each_golden("helpers")
def test_windows(golden_path):
    rows = Golden(golden_path).params["ref_index"]
    assert rows
    for row in rows:
        half, ref_stride = row["neighbor_stride"], row["ref_stride"]
        # The reference counts references; -1 stands for a clip that is no longer than a subvideo.
        subvideo = row["T"] if row["ref_num"] < 0 else max(1, row["ref_num"] * ref_stride)
        settings = PriorSettings(neighbor_length=2 * half, ref_stride=ref_stride, subvideo_length=subvideo)
        window = list(windows(row["T"], settings))[row["f"] // half]
        first, last = row["neighbor"]
        assert (list(window.local), list(window.references)) == (list(range(first, last + 1)), row["ref"])
