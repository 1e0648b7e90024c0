import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_inputs import moving_frames, read_audio, save_frames, write_with_audio

from lib.video.clip import probe_clip, read_clip
from lib.video.writer import Carried, write_clip, write_lossless

FPS = Fraction(30000, 1001)


def stream_facts(path):
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        return context.name, context.pix_fmt, context.colorspace, context.color_primaries, context.color_trc


def test_even_sides_give_h264_420_with_colours_tagged(tmp_path):
    frames = moving_frames(8)
    assert write_clip(tmp_path / "a.mp4", frames, FPS) == ()
    assert stream_facts(tmp_path / "a.mp4") == ("h264", "yuv420p", 1, 1, 1)
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.frames.shape == frames.shape
    assert clip.fps == FPS
    assert np.abs(clip.frames.astype(int) - frames).mean() < 2


@pytest.mark.parametrize("size", [(33, 51), (48, 51), (33, 64)])
def test_odd_sides_keep_their_size(tmp_path, size):
    frames = moving_frames(3, *size)
    write_clip(tmp_path / "a.mp4", frames, FPS)
    assert stream_facts(tmp_path / "a.mp4")[1] == "yuv444p"
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.frames.shape == frames.shape
    assert np.abs(clip.frames.astype(int) - frames).mean() < 2


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (12, 130, 200)])
@pytest.mark.parametrize("size", [(64, 96), (63, 95)])
def test_colours_survive(tmp_path, colour, size):
    frames = np.full((3, *size, 3), colour, np.uint8)
    write_clip(tmp_path / "a.mp4", frames, FPS)
    assert np.abs(read_clip(tmp_path / "a.mp4").frames.astype(int) - frames).mean() < 1.5


def test_index_lies_before_the_pictures(tmp_path):
    write_clip(tmp_path / "a.mp4", moving_frames(3), FPS)
    content = (tmp_path / "a.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(("write", "name"), [(write_clip, "a.mp4"), (write_lossless, "a.mkv")])
def test_two_runs_are_byte_equal(tmp_path, write, name):
    frames = moving_frames(20, 96, 128)
    for run in ("one", "two"):
        write(tmp_path / run / name, iter(frames), FPS)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("size", [(48, 64), (33, 51)])
def test_lossless_is_exact(tmp_path, size):
    frames = np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    write_lossless(tmp_path / "a.mkv", frames, FPS)
    clip = read_clip(tmp_path / "a.mkv")
    assert np.array_equal(clip.frames, frames)
    assert clip.fps == FPS


@pytest.mark.parametrize(("write", "name"), [(write_clip, "a.mp4"), (write_lossless, "a.mkv")])
def test_failure_leaves_the_old_file_and_no_other(tmp_path, write, name):
    def breaking():
        yield from moving_frames(3)
        raise RuntimeError("engine died")

    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(RuntimeError, match="engine died"):
        write(tmp_path / name, breaking(), FPS)
    with pytest.raises(ValueError, match="0 frames"):
        write(tmp_path / name, [], FPS)
    with pytest.raises(ValueError, match=r"frame 1 has \(H, W\) \(10, 10\), the first one \(48, 64\)"):
        write(tmp_path / name, [moving_frames(1)[0], moving_frames(1, 10, 10)[0]], FPS)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_frames_are_taken_one_by_one(tmp_path):
    alive = []

    class Frame(np.ndarray):
        def __del__(self):
            alive.remove(id(self))

    def frames():
        for frame in moving_frames(30):
            frame = frame.copy().view(Frame)
            alive.append(id(frame))
            assert len(alive) <= 4
            yield frame

    write_clip(tmp_path / "a.mp4", frames(), FPS)


def test_audio_is_copied_not_encoded_again(tmp_path):
    frames = moving_frames(48)
    source = write_with_audio(tmp_path / "source.mp4", frames, Fraction(24))
    assert write_clip(tmp_path / "a.mp4", frames, Fraction(24), carried=Carried(source)) == ()
    assert probe_clip(tmp_path / "a.mp4").has_audio
    codec, samples, rate = read_audio(tmp_path / "a.mp4")
    _, expected, _ = read_audio(source)
    assert codec == "aac"
    assert np.array_equal(samples[: rate * 3 // 2], expected[: rate * 3 // 2])
    assert len(read_clip(tmp_path / "a.mp4").frames) == 48
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "source.mp4"]


def test_audio_is_whole_where_it_is_longer_than_the_frames(tmp_path):
    frames = moving_frames(48)
    source = write_with_audio(tmp_path / "source.mp4", frames, Fraction(24))
    write_clip(tmp_path / "a.mp4", frames[:12], Fraction(24), carried=Carried(source))
    _, samples, _ = read_audio(tmp_path / "a.mp4")
    assert np.array_equal(samples, read_audio(source)[1])
    assert len(read_clip(tmp_path / "a.mp4").frames) == 12


def test_audio_is_cut_where_that_is_asked_for_and_files_stay_deterministic(tmp_path):
    frames = moving_frames(48)
    source = write_with_audio(tmp_path / "source.mp4", frames, Fraction(24))
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, frames[:12], Fraction(24), carried=Carried(source, Fraction(1, 2)))
    _, samples, rate = read_audio(tmp_path / "a.mp4")
    assert abs(len(samples) / rate - 0.5) < 0.05
    assert read_clip(tmp_path / "a.mp4").fps == 24
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("name", "codec", "video_codec", "carried"),
    [
        ("source.mp4", "aac", "mpeg4", "aac"),
        ("source.avi", "pcm_s16le", "mpeg4", "aac"),
        ("source.mov", "pcm_s16le", "mpeg4", "aac"),
        ("source.mkv", "flac", "mpeg4", "flac"),
    ],
)
def test_sound_stays_in_step(tmp_path, name, codec, video_codec, carried):
    frames = moving_frames(48)
    source = write_with_audio(tmp_path / name, frames, Fraction(24), codec, video_codec=video_codec, tone_at=1.0)
    notes = write_clip(tmp_path / "a.mp4", frames, Fraction(24), carried=Carried(source))
    found, samples, rate = read_audio(tmp_path / "a.mp4")
    onset = np.flatnonzero(np.abs(samples) > 0.1)[0] / rate
    assert found == carried
    assert abs(onset - 1.0) < 0.03
    assert bool(notes) == (codec != carried)
    assert all("encoded again as AAC" in note.text and note.kind == "result" for note in notes)


def test_sources_without_sound_give_a_silent_file(tmp_path):
    frames = moving_frames(3)
    write_clip(tmp_path / "silent.mp4", frames, FPS)
    folder = save_frames(tmp_path / "clip", frames)
    for source in (tmp_path / "silent.mp4", folder):
        assert write_clip(tmp_path / "a.mp4", frames, FPS, carried=Carried(source)) == ()
        assert not probe_clip(tmp_path / "a.mp4").has_audio


def test_sound_that_cannot_be_read_costs_a_note_only(tmp_path, monkeypatch):
    frames = moving_frames(6)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    (note,) = write_clip(tmp_path / "a.mp4", frames, FPS, carried=Carried(tmp_path / "broken.mp4"))
    assert "no sound: the audio of broken.mp4 cannot be read" in note.text
    source = write_with_audio(tmp_path / "source.mp4", frames, FPS, seconds=0.2)

    def refuse(*_):
        raise ValueError("refused")

    monkeypatch.setattr("lib.video.streams._fill", refuse)
    note, words = write_clip(tmp_path / "a.mp4", frames, FPS, carried=Carried(source))
    assert "the tags of source.mp4 cannot be carried over (refused)" in words.text
    assert "no sound: the audio track of source.mp4 (aac) cannot be carried over (refused)" in note.text
    assert len(read_clip(tmp_path / "a.mp4").frames) == 6


@pytest.mark.parametrize("filler", ["0", "1", "255"])
def test_bytes_do_not_depend_on_what_was_in_memory_before(tmp_path, filler):
    code = (
        "import sys; from fractions import Fraction; from pathlib import Path; import numpy as np;"
        "from lib.video.writer import write_clip;"
        "coarse = np.random.default_rng(0).integers(30, 200, (31, 55, 3), np.uint8);"
        "plate = coarse.repeat(8, 0).repeat(8, 1)[:240, :432];"
        "write_clip(Path(sys.argv[1]), [plate] * 12, Fraction(24))"
    )
    paths = []
    for value in ("0", filler):
        paths.append(tmp_path / f"{len(paths)}.mp4")
        env = {**os.environ, "MALLOC_PERTURB_": value, "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-c", code, str(paths[-1])], env=env, check=True)
    assert paths[0].read_bytes() == paths[1].read_bytes()
