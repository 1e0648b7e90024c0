"""Videos with an alpha channel: black where they are transparent, in results as in what engines see."""

from pathlib import Path

import av
import numpy as np
import pytest
from video_inputs import moving_frames, write_video

from lib.video.clip import read_clip
from lib.video.colour import ColourTags
from lib.video.compose import Feather
from lib.video.decode import to_array
from lib.video.native_compose import compose_in_format
from lib.video.planes import code_values, native_planes
from lib.video.source_format import result_format
from lib.video.sources import stream_reading

SIZE = (48, 64)
BT709, HLG = ColourTags(1, 1, 1, False), ColourTags(9, 18, 9, False)
TRANSPARENT = {  # pixel format and tags of sources, and the format of their results
    "ProRes 4444": ("yuva444p12le", BT709, "yuv444p12le"),
    "4:2:2": ("yuva422p10le", BT709, "yuv422p10le"),
    "HLG": ("yuva444p10le", HLG, "yuv444p10le"),
    "RGBA": ("rgba", ColourTags(0, 13, 1, True), "gbrp"),
    "deep RGBA": ("gbrap12le", ColourTags(0, 13, 1, True), "gbrp12le"),
}


def see_through(pixel_format, tags):
    """A bright gray frame whose left half is transparent, its middle half transparent."""
    pixels = np.full((*SIZE, 4), (40_000, 40_000, 40_000, 65_535), np.uint16)
    pixels[:, :32, 3], pixels[:, 24:32, 3] = 0, 32_768
    frame = av.VideoFrame.from_ndarray(pixels, format="rgba64le")
    frame = frame.reformat(format=pixel_format, dst_colorspace=tags.matrix or None)
    frame.colorspace, frame.color_trc, frame.color_primaries = tags.matrix, tags.transfer, tags.primaries
    frame.color_range = 2 if tags.full_range else 1
    return frame


@pytest.mark.parametrize("size", [SIZE, (24, 32)], ids=["same size", "smaller"])
@pytest.mark.parametrize("name", TRANSPARENT)
def test_what_is_transparent_is_black_in_results_as_in_what_engines_see(name, size):
    pixel_format, tags, kept = TRANSPARENT[name]
    source = see_through(pixel_format, tags)
    wanted = result_format(source, size)
    assert wanted is not None and wanted.pixel_format == kept
    (composed,) = compose_in_format(
        [source], [np.zeros((*size, 3), np.uint8)], [np.zeros(size, bool)], Feather(0), wanted, size
    )
    left, middle, right = (int(size[1] * share) for share in (0.2, 0.44, 0.8))
    shown = to_array(source, Path("a.mov"))[20, [12, 28, 51]].astype(int)
    assert shown[0].max() == 0 and np.ptp(shown) > 100
    dark, light = (code_values(np.full((1, 1, 3), value, np.float32), wanted) for value in (0, 40_000 / 65_535))
    top = 1 << wanted.depth
    for index, plane in enumerate(native_planes(composed, wanted, size)):
        columns = wanted.chroma[0] if index else 1
        values = [int(plane[8, place // columns]) for place in (left, middle, right)]
        expected = [
            float(dark[index][0, 0]),
            float(dark[index][0, 0] + light[index][0, 0]) / 2,
            float(light[index][0, 0]),
        ]
        assert np.abs(np.subtract(values, expected)).max() < top / 100, (index, values, expected)


@pytest.mark.parametrize(("pixel_format", "said"), [("yuva420p", True), ("yuv420p", False)])
def test_an_alpha_channel_that_decoders_leave_out_is_told(tmp_path, pixel_format, said):
    options = {"auto-alt-ref": "0"}
    path = write_video(tmp_path / "a.webm", moving_frames(3), "libvpx", pixel_format=pixel_format, options=options)
    assert [note.text for note in read_clip(path).notes] == said * [
        "its alpha channel is not read: colours that it hides are shown"
    ]
    assert stream_reading(path) == {}
