"""How long files say they are: by container, with unknown sizes, and of bytes that are no video."""

import struct

import numpy as np
import pytest
from video_inputs import textured_frames, write_video

from lib.video.container_size import promised_bytes

WHOLE = {
    "mp4": ("a.mp4", "libx264", {}),
    "mp4, index first": ("a.mp4", "libx264", {"movflags": "faststart"}),
    "mp4 in fragments": ("a.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "QuickTime": ("a.mov", "mjpeg", {}),
    "3GP": ("a.3gp", "mpeg4", {}),
    "Matroska": ("a.mkv", "libx264", {}),
    "WebM": ("a.webm", "libvpx", {}),
    "AVI": ("a.avi", "mpeg4", {}),
    "ASF": ("a.wmv", "wmv2", {}),
}
SILENT = {  # these tell nothing
    "transport stream": ("a.ts", "mpeg2video", {}),
    "program stream": ("a.mpg", "mpeg2video", {}),
    "FLV": ("a.flv", "libx264", {}),
    "NUT": ("a.nut", "mpeg4", {}),
    "Matroska that was streamed": ("a.mkv", "libx264", {"live": "1"}),
}
EBML = bytes.fromhex("1a45dfa3 84 42868101")
SEGMENT = bytes.fromhex("18538067")
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def box(name, size, body=b""):
    return struct.pack(">I", size) + name + body


HEADERS = {
    "a box to the file's end": (box(b"ftyp", 16, b"isom\0\0\0\0") + box(b"mdat", 0, b"x" * 50), 16),
    "a box of more than 4 GiB": (
        box(b"ftyp", 16, b"isom\0\0\0\0") + box(b"mdat", 1, struct.pack(">Q", 1 << 33)),
        16 + (1 << 33),
    ),
    "a box with a size below its header's": (box(b"ftyp", 16, b"isom\0\0\0\0") + box(b"mdat", 7), 16),
    "a box that is cut": (box(b"ftyp", 16, b"isom\0\0\0\0") + box(b"mdat", 900, b"x" * 50), 916),
    "a large size that is cut": (box(b"ftyp", 16, b"isom\0\0\0\0") + box(b"mdat", 1, b"\0\0"), 16),
    "zeros behind the boxes": (box(b"ftyp", 16, b"isom\0\0\0\0") + bytes(100), 16),
    "bytes behind the boxes": (box(b"ftyp", 16, b"isom\0\0\0\0") + b"\xff" * 100, 16),
    "RIFF": (b"RIFF" + struct.pack("<I", 1000) + b"AVI LIST", 1008),
    "RIFF of a writer that could not seek": (b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"AVI LIST", None),
    "RIFF without a size": (b"RIFF" + struct.pack("<I", 0) + b"AVI LIST", None),
    "RIFF of three bytes of size": (b"RIFF\1\2\3", None),
    "Matroska": (EBML + SEGMENT + b"\x01" + (500).to_bytes(7, "big"), len(EBML) + 12 + 500),
    "Matroska, short size": (EBML + SEGMENT + b"\x8a", len(EBML) + 5 + 10),
    "Matroska, unknown size": (EBML + SEGMENT + b"\x01" + b"\xff" * 7, None),
    "Matroska, unknown short size": (EBML + SEGMENT + b"\xff", None),
    "Matroska without a segment": (EBML, None),
    "Matroska with a cut name": (EBML + SEGMENT[:2], None),
    "Matroska with a cut size": (EBML + SEGMENT + b"\x01\x00", None),
    "Matroska and zeros": (EBML + bytes(40), None),
    "ASF": (ASF_HEADER + bytes(14) + ASF_FILE + bytes(24) + struct.pack("<Q", 4321) + bytes(40), 4321),
    "ASF of a live stream": (ASF_HEADER + bytes(14) + ASF_FILE + bytes(24) + bytes(48), None),
    "ASF that is cut": (ASF_HEADER + bytes(14) + ASF_FILE + bytes(20), None),
    "nothing": (b"", None),
    "one byte": (b"\x1a", None),
    "text": (b"no video at all, only words that say so", None),
    "zeros": (bytes(5000), None),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_files_promise_their_size_and_cut_ones_as_much(tmp_path, kind):
    name, codec, options = WHOLE[kind]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / name, textured_frames(30), codec, pixel_format=pixels, container_options=options)
    content = path.read_bytes()
    assert promised_bytes(path) == len(content)
    path.write_bytes(content[: len(content) * 9 // 10])
    promised = promised_bytes(path)
    assert promised is not None
    assert len(content) * 9 // 10 < promised <= len(content)


@pytest.mark.parametrize("kind", SILENT)
def test_kinds_that_tell_no_size_promise_none(tmp_path, kind):
    name, codec, options = SILENT[kind]
    path = write_video(tmp_path / name, textured_frames(30), codec, container_options=options)
    assert promised_bytes(path) is None


@pytest.mark.parametrize("kind", HEADERS)
def test_headers(tmp_path, kind):
    content, promised = HEADERS[kind]
    (tmp_path / "a").write_bytes(content)
    assert promised_bytes(tmp_path / "a") == promised


def test_no_bytes_are_too_odd(tmp_path):
    random = np.random.default_rng(0)
    starts = (
        b"RIFF",
        b"RF64",
        EBML,
        EBML + SEGMENT,
        ASF_HEADER,
        ASF_HEADER + ASF_FILE,
        box(b"ftyp", 8),
        box(b"moov", 12),
    )
    for index in range(400):
        content = (
            starts[index % len(starts)] + random.integers(0, 256, random.integers(0, 90), dtype=np.uint8).tobytes()
        )
        (tmp_path / "a").write_bytes(content)
        promised = promised_bytes(tmp_path / "a")
        assert promised is None or promised > 0


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        promised_bytes(tmp_path / "a")
