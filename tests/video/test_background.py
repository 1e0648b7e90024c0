"""Writing a clip while its frames are being made."""

from fractions import Fraction

import numpy as np
import pytest

from lib.video.background import BackgroundWriter
from lib.video.writer import write_clip

FPS = Fraction(24)


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 255, (7, 32, 48, 3), np.uint8)


def test_frames_put_in_parts_give_the_bytes_of_a_plain_write(clip, tmp_path):
    write_clip(tmp_path / "plain.mp4", clip, FPS)
    with BackgroundWriter(tmp_path / "parts.mp4", FPS, iter) as writer:
        for part in (clip[:3], clip[3:4], clip[4:]):
            writer.put(part)
        assert writer.complete() == ()
    assert (tmp_path / "parts.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()


def test_frames_are_finished_on_their_way(clip, tmp_path):
    write_clip(tmp_path / "plain.mp4", 255 - clip, FPS)
    with BackgroundWriter(tmp_path / "finished.mp4", FPS, lambda frames: (255 - frame for frame in frames)) as writer:
        writer.put(clip)
        writer.complete()
    assert (tmp_path / "finished.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()


def test_an_error_of_the_maker_leaves_no_file(clip, tmp_path):
    with pytest.raises(RuntimeError, match="out of frames"), BackgroundWriter(tmp_path / "a.mp4", FPS, iter) as writer:
        writer.put(clip[:4])
        raise RuntimeError("out of frames")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_writing_reaches_the_maker(clip, tmp_path):
    def finish(frames):
        yield next(frames)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), BackgroundWriter(tmp_path / "a.mp4", FPS, finish) as writer:
        writer.put(clip)
        writer.complete()
    assert list(tmp_path.iterdir()) == []


def test_no_frames_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="found 0 frames"), BackgroundWriter(tmp_path / "a.mp4", FPS, iter) as writer:
        writer.complete()
