"""Every suffix that counts is one that the installed libraries read."""

from pathlib import Path

import av
import pytest
from av.format import ContainerFormat, formats_available
from video_inputs import moving_frames

from lib.video import clip
from lib.video.suffixes import (
    FRAME_SUFFIXES,
    VIDEO_DEMUXERS,
    VIDEO_SUFFIXES,
    is_media,
    picture_kind,
    some_suffixes,
    unsupported_kind,
)

# Demuxer -> FFmpeg's muxer and encoder for it; of rm, wtv, … PyAV's builds have no pair that fits.
WRITERS = {
    "mov": ("mov", "mpeg4"),
    "matroska": ("matroska", "mpeg4"),
    "avi": ("avi", "mpeg4"),
    "mpegts": ("mpegts", "mpeg2video"),
    "mpeg": ("vob", "mpeg2video"),
    "mpegvideo": ("mpeg2video", "mpeg2video"),
    "asf": ("asf", "mpeg4"),
    "ogg": ("ogg", "libvpx"),
    "dv": ("dv", "dvvideo"),
    "mjpeg": ("mjpeg", "mjpeg"),
    "h264": ("h264", "libx264"),
    "hevc": ("hevc", "libx265"),
    "flv": ("flv", "flv"),
    "gif": ("gif", "gif"),
    "apng": ("apng", "apng"),
    "mxf": ("mxf", "mpeg2video"),
    "gxf": ("gxf", "mpeg2video"),
    "yuv4mpegpipe": ("yuv4mpegpipe", "wrapped_avframe"),
    "nut": ("nut", "mpeg4"),
    "ivf": ("ivf", "libvpx"),
    "obu": ("obu", "libsvtav1"),
    "wtv": ("wtv", "mpeg2video"),
}
PIXELS = {"mjpeg": "yuvj420p", "dvvideo": "yuv420p", "gif": "rgb8", "apng": "rgb24"}


def write(path: Path, muxer: str, encoder: str) -> None:
    with av.open(path, "w", format=muxer) as container:
        stream = container.add_stream(encoder, rate=25)
        stream.width, stream.height = (720, 576) if encoder in ("dvvideo",) or muxer == "gxf" else (64, 64)
        stream.pix_fmt = PIXELS.get(encoder, "yuv420p")
        for pixels in moving_frames(12, stream.height, stream.width):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())


@pytest.mark.parametrize("demuxer", sorted(set(VIDEO_DEMUXERS.values())))
def test_demuxers_are_there(demuxer):
    names = {name for listed in formats_available for name in listed.split(",")} | set(formats_available)
    assert demuxer in names
    listed = next(listed for listed in sorted(formats_available) if demuxer in listed.split(","))
    assert ContainerFormat(listed, "r").is_input


@pytest.mark.parametrize(
    "suffix", [suffix for suffix, demuxer in VIDEO_DEMUXERS.items() if demuxer in WRITERS and demuxer != "wtv"]
)
def test_videos_with_these_suffixes_are_opened(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    write(path, *WRITERS[VIDEO_DEMUXERS[suffix]])
    with av.open(path) as container:
        assert VIDEO_DEMUXERS[suffix] in container.format.name.split(",")
        assert sum(1 for _ in container.decode(video=0)) >= 2


def test_the_suffixes_that_there_always_were_still_count():
    assert {".mp4", ".mov", ".avi", ".webm", ".mkv"} <= set(VIDEO_SUFFIXES)
    assert {".jpg", ".jpeg", ".png"} <= set(FRAME_SUFFIXES)
    assert not set(VIDEO_SUFFIXES) & set(FRAME_SUFFIXES)
    assert clip.VIDEO_SUFFIXES is VIDEO_SUFFIXES


@pytest.mark.parametrize(
    ("name", "kind", "way"),
    [
        ("a.EXR", "OpenEXR (.exr)", "convert to 16-bit PNG or TIFF"),
        ("a.hdr", "Radiance HDR", "convert to 16-bit PNG"),
        ("a.dpx", "DPX", "convert to 16-bit PNG"),
        ("a.cin", "Cineon", "convert to 16-bit PNG"),
        ("a.HEIC", "HEIF (.heic)", "convert to 16-bit PNG"),
        ("a.psd", "Photoshop", "convert to 16-bit PNG"),
        *((f"a.{raw}", "camera raw", "PNG") for raw in ["dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2"]),
        ("a.R3D", "RED raw (.r3d)", "convert to ProRes or H.264"),
        ("a.braw", "Blackmagic raw", "convert to ProRes or H.264"),
        ("a.ari", "ARRI raw", "convert to ProRes or H.264"),
    ],
)
def test_known_kinds_that_are_not_read_have_a_way_out(name, kind, way):
    said = unsupported_kind(Path(name))
    assert said
    assert said.startswith(kind)
    assert said.endswith(way) or way in said
    assert is_media(name)
    assert Path(name).suffix.lower() not in (*VIDEO_SUFFIXES, *FRAME_SUFFIXES)


def test_other_files_are_nothing():
    for name in ("notes.txt", "Thumbs.db", "noext", ".png"):
        assert (unsupported_kind(Path(name)), picture_kind(Path(name)), is_media(name)) == (None, None, False)


def test_long_lists_are_cut():
    assert some_suffixes((".a", ".b", ".c"), 2) == ".a, .b and 1 more"
    assert some_suffixes((".a", ".b"), 2) == ".a, .b"
