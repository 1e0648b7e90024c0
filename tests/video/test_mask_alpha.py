"""Masks whose object, or a part of it, is in the alpha channel."""

import av
import numpy as np
import pytest
from mask_inputs import MASKS, read, reading, save_pictures, texts
from PIL import Image

from lib.video.mask_alpha import ALPHA_NOTE, TRANSPARENT_NOTE

FULL, NOTHING = np.full(MASKS.shape, 255, np.uint8), np.zeros(MASKS.shape, np.uint8)
OBJECT = MASKS.astype(np.uint8) * 255
PHOTO = np.random.default_rng(0).integers(1, 256, MASKS.shape, np.uint8)
BY_ALPHA, BY_COLOUR = {"alpha": True}, {}


def coloured(gray, alpha):
    """(T, H, W, 4) of (T, H, W) gray values and opacities."""
    return np.stack([gray, gray, gray, alpha], axis=-1)


def video_with_alpha(path, frames, codec, pixel_format, **options):
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=24, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pixel_format)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


CODECS = {
    "vp9.webm": ("libvpx-vp9", "yuva420p", {}),
    "vp8.webm": ("libvpx", "yuva420p", {"auto-alt-ref": "0"}),
    "prores.mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}),
    "qtrle.mov": ("qtrle", "argb", {}),
    "ffv1.mkv": ("ffv1", "bgra", {}),
}
# gray values, opacities, the object, how it is read, the note
VIDEOS = {
    "black": (NOTHING, OBJECT, MASKS, BY_ALPHA, ALPHA_NOTE),
    "white": (FULL, OBJECT, MASKS, BY_ALPHA, ALPHA_NOTE),
    "both": (OBJECT, OBJECT, MASKS, BY_COLOUR, None),
    "opaque": (OBJECT, FULL, MASKS, BY_COLOUR, None),
}


@pytest.mark.parametrize("case", VIDEOS)
@pytest.mark.parametrize("name", CODECS)
def test_mask_videos_with_alpha(tmp_path, name, case):
    gray, alpha, expected, known, note = VIDEOS[case]
    codec, pixel_format, options = CODECS[name]
    path = video_with_alpha(tmp_path / name, coloured(gray, alpha), codec, pixel_format, **options)
    track = read(path)
    assert (track.masks != expected).mean() < 0.01
    assert [text for text in texts(track) if "partly" not in text] == ([note.text] if note else [])
    assert reading(path) == known


def test_the_first_frames_of_a_video_with_alpha_may_be_empty(tmp_path):
    alpha = OBJECT.copy()
    alpha[:2] = 0
    path = video_with_alpha(tmp_path / "m.mkv", coloured(FULL, alpha), "ffv1", "bgra")
    assert np.array_equal(read(path).masks, alpha > 0)
    assert np.array_equal(read(path, threshold=254).masks, alpha > 254)
    assert reading(path) == BY_ALPHA


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_what_is_transparent_is_no_object(tmp_path, suffix):
    """A photo cut out whose colours are still there outside."""
    pictures = [Image.fromarray(pixels) for pixels in coloured(PHOTO, OBJECT)]
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    folder = save_pictures(tmp_path / "m", pictures, suffix, **options)
    track = read(folder)
    assert np.array_equal(track.masks, MASKS)
    assert texts(track) == (TRANSPARENT_NOTE.text,)
    assert reading(folder) == BY_ALPHA
    assert np.array_equal(read(folder, threshold=100).masks, MASKS & (PHOTO > 100))


def test_frames_without_object_of_a_cut_out_are_empty(tmp_path):
    alpha = OBJECT.copy()
    alpha[1] = 0
    folder = save_pictures(tmp_path / "m", [Image.fromarray(pixels) for pixels in coloured(PHOTO, alpha)])
    assert np.array_equal(read(folder).masks, alpha > 0)


def test_an_alpha_channel_that_is_empty_in_all_masks_says_nothing(tmp_path):
    folder = save_pictures(tmp_path / "m", [Image.fromarray(pixels) for pixels in coloured(OBJECT, NOTHING)])
    track = read(folder)
    assert np.array_equal(track.masks, MASKS)
    assert texts(track) == ()
    assert reading(folder) == BY_COLOUR


def test_lossy_webp_masks_end_where_they_become_transparent(tmp_path):
    """The encoder fills what is transparent with the colours beside it."""
    pictures = [Image.fromarray(pixels) for pixels in coloured(OBJECT, OBJECT)]
    track = read(save_pictures(tmp_path / "m", pictures, ".webp", quality=60))
    assert np.array_equal(track.masks, MASKS)
    assert texts(track) == ()


def test_masks_that_are_black_where_they_are_transparent_are_plain(tmp_path):
    folder = save_pictures(tmp_path / "m", [Image.fromarray(pixels) for pixels in coloured(OBJECT, OBJECT)])
    track = read(folder)
    assert np.array_equal(track.masks, MASKS)
    assert texts(track) == ()
    assert reading(folder) == BY_COLOUR
