"""Pixels that are not square and frames of two fields: read, carried over, or made whole; colours nobody converts."""

from fractions import Fraction

import av
import numpy as np
import pytest
from video_inputs import box_masks, field_orders, moving_frames, save_frames, textured_frames, write_video

from lib.errors import InputError
from lib.removers.clip_removal import remove_from_clip
from lib.removers.propagation import PropagationRemover
from lib.settings import Processing
from lib.video.clip import probe_clip, read_clip
from lib.video.datasets import Video
from lib.video.presentation import Presentation
from lib.video.writer import write_clip, write_lossless

INTERLACED = {
    ("h264", True): {"flags": "+ildct+ilme", "x264-params": "tff=1"},
    ("h264", False): {"flags": "+ildct+ilme", "x264-params": "bff=1"},
    ("mpeg2", False): {"flags": "+ildct+ilme"},
    ("mpeg2", True): {"flags": "+ildct+ilme"},
}
ENCODERS = {"h264": "libx264", "mpeg2": "mpeg2video"}
ORDERS = {True: 2, False: 3}  # FFmpeg's numbers


def told(path):
    """Pixel shape and field order as a file's header tells them."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        return stream.sample_aspect_ratio, stream.codec_context.field_order


def interlaced(path, codec="h264", *, top_first=True, count=12, **context):
    """A bar that moves between the two fields of each frame."""
    fields = np.full((2 * count, 48, 64, 3), 60, np.uint8)
    for moment, field in enumerate(fields):
        field[:, moment * 2 : moment * 2 + 8] = 220
    frames = fields[0::2].copy()
    second = slice(1, None, 2) if top_first else slice(0, None, 2)
    frames[:, second] = fields[1::2, second]
    options = {"crf": "5", **INTERLACED[codec, top_first]} if codec == "h264" else INTERLACED[codec, top_first]
    return write_video(path, frames, ENCODERS[codec], options=options, top_first=top_first, **context)


def removal(tmp_path, source, **processing):
    clip = read_clip(source)
    save_frames(tmp_path / "masks", box_masks(len(clip.frames), *clip.size).astype(np.uint8) * 255)
    video = Video(name="a", video_path=source, mask_path=tmp_path / "masks")
    return remove_from_clip(video, tmp_path / "out", PropagationRemover(), Processing(**processing), lossless=True)


@pytest.mark.parametrize("aspect", [Fraction(16, 15), Fraction(4, 3), Fraction(8, 9), Fraction(10, 11), Fraction(1)])
@pytest.mark.parametrize("size", [(48, 64), (33, 51), (576, 720)])
def test_written_clips_tell_the_shape_of_their_pixels(tmp_path, aspect, size):
    frames = moving_frames(2, *size)
    shown = Presentation(Fraction(25), sample_aspect=aspect)
    assert write_clip(tmp_path / "a.mp4", frames, shown) == ()
    assert write_lossless(tmp_path / "a.mkv", frames, shown) == ()
    for name in ("a.mp4", "a.mkv"):
        assert (told(tmp_path / name)[0] or 1) == aspect
        assert probe_clip(tmp_path / name).sample_aspect == aspect
        assert len(read_clip(tmp_path / name).frames) == 2
    assert np.array_equal(read_clip(tmp_path / "a.mkv").frames, frames)


def test_square_pixels_change_no_byte(tmp_path):
    frames = moving_frames(3)
    for write, suffix in ((write_clip, ".mp4"), (write_lossless, ".mkv")):
        write(tmp_path / f"rate{suffix}", frames, Fraction(25))
        write(tmp_path / f"shown{suffix}", frames, Presentation(Fraction(25), sample_aspect=Fraction(1)))
        assert (tmp_path / f"rate{suffix}").read_bytes() == (tmp_path / f"shown{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".mpg", ".avi"])
def test_the_shape_of_pixels_is_read_and_kept(tmp_path, suffix):
    codec = "mpeg2video" if suffix == ".mpg" else "libx264"
    aspect = Fraction(16, 9) * Fraction(48, 64) if suffix == ".mpg" else Fraction(16, 11)
    source = write_video(tmp_path / f"a{suffix}", textured_frames(4, 48, 64), codec, sample_aspect_ratio=aspect)
    assert probe_clip(source).sample_aspect == aspect
    removal(tmp_path, source)
    for name in ("propagation.mp4", "propagation.mkv"):
        assert told(tmp_path / "out" / name)[0] == aspect


@pytest.mark.parametrize(("codec", "top_first"), list(INTERLACED))
def test_fields_are_kept_and_said(tmp_path, codec, top_first):
    source = interlaced(tmp_path / ("a.ts" if codec == "mpeg2" else "a.mp4"), codec, top_first=top_first)
    info = probe_clip(source)
    assert info.top_field_first is top_first
    (note,) = read_clip(source).notes
    assert note.text.startswith(f"interlaced ({'top' if top_first else 'bottom'} field first)")
    assert "--deinterlace" in note.text and note.kind == "input"
    outcome = removal(tmp_path, source)
    assert note in outcome.notes
    result = tmp_path / "out" / "propagation.mp4"
    assert probe_clip(result).top_field_first is top_first
    assert told(result)[1] == ORDERS[top_first]
    marked = {"TOPFIRST" if top_first else "BOTTOMFIRST"}
    assert field_orders(source) == field_orders(result) == marked
    assert field_orders(tmp_path / "out" / "propagation.mkv") == marked
    assert probe_clip(tmp_path / "out" / "propagation.mkv").top_field_first is top_first
    assert (len(read_clip(result).frames), probe_clip(result).fps) == (12, 25)


def test_fields_that_scaling_mixes_are_said_and_not_claimed(tmp_path):
    source = interlaced(tmp_path / "a.mp4")
    outcome = removal(tmp_path, source, height=24, width=32)
    assert any("mixes its two fields; give --deinterlace" in note.text for note in outcome.notes)
    assert probe_clip(tmp_path / "out" / "propagation.mp4").top_field_first is None
    outcome = removal(tmp_path, source, height=24, width=32, deinterlace=True)
    assert not outcome.notes


def test_frames_know_their_fields_better_than_headers(tmp_path):
    """DV begins with the bottom field, and neither AVI nor its codec's header says so."""
    source = write_video(tmp_path / "a.avi", moving_frames(3, 576, 720), "dvvideo", top_first=False)
    assert field_orders(source) == {"BOTTOMFIRST"}
    assert probe_clip(source).top_field_first is False
    removal(tmp_path, source)
    assert field_orders(tmp_path / "out" / "propagation.mp4") == {"BOTTOMFIRST"}


@pytest.mark.parametrize(
    ("matrix", "top_first"), [((1, 0, 0, -1), False), ((-1, 0, 0, -1), False), ((-1, 0, 0, 1), True)]
)
def test_upside_down_the_other_field_is_first(tmp_path, matrix, top_first):
    source = interlaced(tmp_path / "a.mp4", top_first=True, matrix=matrix)
    assert probe_clip(source).top_field_first is top_first
    removal(tmp_path, source)
    assert field_orders(tmp_path / "out" / "propagation.mp4") == {"TOPFIRST" if top_first else "BOTTOMFIRST"}


def test_fields_that_lie_sideways_are_told_to_no_player(tmp_path):
    source = interlaced(tmp_path / "a.mp4", matrix=(0, 1, -1, 0))
    outcome = removal(tmp_path, source)
    assert [note.text for note in outcome.notes] == [
        "interlaced and turned by a quarter: results cannot keep its fields; --deinterlace makes whole frames"
    ]
    assert field_orders(tmp_path / "out" / "propagation.mp4") == {"PROGRESSIVE"}


@pytest.mark.parametrize(("codec", "top_first"), list(INTERLACED))
def test_deinterlacing_makes_whole_frames(tmp_path, codec, top_first):
    source = interlaced(tmp_path / ("a.ts" if codec == "mpeg2" else "a.mp4"), codec, top_first=top_first)
    clip, combed = read_clip(source, deinterlace=True), read_clip(source)
    assert clip.notes == ()
    assert (clip.frames.shape, clip.fps, tuple(clip.positions)) == (combed.frames.shape, 25, tuple(range(12)))
    assert _combing(clip.frames) < _combing(combed.frames) / 4
    outcome = removal(tmp_path, source, deinterlace=True)
    assert not [note for note in outcome.notes if "interlaced" in note.text]
    result = tmp_path / "out" / "propagation.mp4"
    assert probe_clip(result).top_field_first is None
    assert told(result)[1] in (0, 1)  # unknown or progressive
    assert (len(read_clip(result).frames), probe_clip(result).fps) == (12, 25)


def test_whole_frames_are_not_called_interlaced(tmp_path):
    for name, codec in (("a.mp4", "libx264"), ("a.ts", "mpeg2video"), ("a.avi", "mpeg4"), ("a.mov", "prores_ks")):
        pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
        source = write_video(tmp_path / name, textured_frames(4), codec, pixel_format=pixels)
        assert probe_clip(source).top_field_first is None
        assert read_clip(source).notes == ()


def _combing(frames):
    """How much lines differ from their neighbours, which have no edge in between."""
    return np.abs(np.diff(frames[2:-2].astype(int), axis=1)).mean()


@pytest.mark.parametrize("matrix", [8, 14, 11, 10, 13])  # YCgCo, ICtCp, Y'D'zD'x, BT.2020 constant, chroma-derived
def test_colours_that_nobody_converts_are_refused_by_name(tmp_path, matrix):
    path = write_video(tmp_path / "odd.mp4", moving_frames(2), colorspace=matrix)
    with pytest.raises(InputError, match=r"odd\.mp4.*expected"):
        read_clip(path)
    with pytest.raises(InputError, match=r"odd\.mp4"):
        probe_clip(path)


@pytest.mark.parametrize(
    ("processing", "aspect"),
    [
        ({"height": 48, "width": 64}, Fraction(1)),  # as it is shown
        ({"height": 48}, Fraction(4, 3)),
        ({"height": 33}, Fraction(4, 3)),  # but for rounding
        ({"height": 24, "width": 24}, Fraction(4, 3)),
        ({"height": 48, "width": 96}, Fraction(2, 3)),
    ],
)
def test_resizing_keeps_the_shape_of_what_is_shown(tmp_path, processing, aspect):
    source = write_video(tmp_path / "a.mp4", moving_frames(3, 48, 48), sample_aspect_ratio=Fraction(4, 3))
    removal(tmp_path, source, **processing)
    for name in ("propagation.mp4", "propagation.mkv"):
        assert probe_clip(tmp_path / "out" / name).sample_aspect == aspect


def test_another_shape_of_square_pixels_is_what_was_asked_for(tmp_path):
    source = write_video(tmp_path / "a.mp4", moving_frames(3))
    removal(tmp_path, source, height=48, width=96)
    assert told(tmp_path / "out" / "propagation.mp4")[0] in (None, 1)


@pytest.mark.parametrize("sound", [False, True])
def test_a_cover_picture_is_no_video(tmp_path, sound):
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt, stream.disposition = 64, 48, "yuvj420p", 1 << 10
        tone = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        frame = av.VideoFrame.from_ndarray(moving_frames(1)[0], format="rgb24").reformat(format="yuvj420p")
        container.mux([*stream.encode(frame), *stream.encode()])
        if tone:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 48000
            container.mux([*tone.encode(silence), *tone.encode()])
    with pytest.raises(InputError, match=r"a\.mp4: holds no video but a cover picture"):
        probe_clip(path)
