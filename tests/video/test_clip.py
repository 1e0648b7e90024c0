import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from video_inputs import moving_frames, save_frames

from lib.errors import InputError
from lib.video.clip import frame_names, iter_frames, probe_clip, read_clip, read_clip_frame
from lib.video.writer import write_clip, write_lossless


def test_png_folder_is_read_exactly_at_24_fps(tmp_path):
    frames = moving_frames(5, 37, 53)
    clip = read_clip(save_frames(tmp_path / "clip", frames))
    assert np.array_equal(clip.frames, frames)
    assert clip.fps == 24
    assert clip.size == (37, 53)


def test_folder_is_sorted_by_number_and_ignores_other_files(tmp_path):
    frames = moving_frames(12)
    folder = save_frames(tmp_path / "clip", frames, digits=1)
    (folder / ".00000.png").write_bytes(b"")
    (folder / "notes.txt").write_text("x")
    assert np.array_equal(read_clip(folder).frames, frames)
    assert frame_names(folder) == tuple(str(i) for i in range(12))


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg_folder(tmp_path, suffix):
    frames = moving_frames(2)
    clip = read_clip(save_frames(tmp_path / "clip", frames, suffix))
    assert np.abs(clip.frames.astype(int) - frames).mean() < 4


def test_gray_alpha_and_16_bit_pictures_become_rgb(tmp_path):
    gray = np.full((8, 8), 200, np.uint8)
    Image.fromarray(gray).save(tmp_path / "0.png")
    Image.fromarray(np.dstack([gray, gray, gray, gray // 2])).save(tmp_path / "1.png")
    Image.fromarray(gray.astype(np.uint16) << 8).save(tmp_path / "2.png")
    clip = read_clip(tmp_path)
    assert [np.unique(frame).tolist() for frame in clip.frames] == [[200], [78], [200]]  # 200 of 100 / 255 over black
    (note,) = clip.notes
    assert "laid over black" in note.text and note.kind == "input"


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25), Fraction(15, 2)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rational_rate_survives(tmp_path, fps, suffix):
    path = tmp_path / f"clip{suffix}"
    (write_clip if suffix == ".mp4" else write_lossless)(path, moving_frames(9), fps)
    assert read_clip(path).fps == fps
    assert probe_clip(path).fps == fps


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".webm", ".mkv"])
def test_other_containers(tmp_path, suffix):
    frames, path = moving_frames(7), tmp_path / f"clip{suffix}"
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx" if suffix == ".webm" else "mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    clip = read_clip(path)
    assert clip.frames.shape == frames.shape
    assert clip.fps == 10
    assert np.abs(clip.frames.astype(int) - frames).mean() < 8


def test_one_frame_clip(tmp_path):
    frames = moving_frames(1)
    write_clip(tmp_path / "one.mp4", frames, Fraction(25))
    clip = read_clip(tmp_path / "one.mp4")
    assert clip.frames.shape == frames.shape
    assert clip.fps == 25


def test_limit_and_single_frames(tmp_path):
    frames = moving_frames(70)
    write_lossless(tmp_path / "clip.mkv", frames, Fraction(24))
    folder = save_frames(tmp_path / "clip", frames[:4])
    assert np.array_equal(read_clip(tmp_path / "clip.mkv").frames, frames)  # longer than the first allocation
    assert np.array_equal(read_clip(tmp_path / "clip.mkv", 3).frames, frames[:3])
    assert np.array_equal(read_clip(folder, 3).frames, frames[:3])
    assert len(read_clip(folder, 99).frames) == 4
    for path, last in ((tmp_path / "clip.mkv", 69), (folder, 3)):
        assert np.array_equal(read_clip_frame(path, 2), frames[2])
        assert np.array_equal(read_clip_frame(path, 1000), frames[last])
        assert np.array_equal(next(iter_frames(path)), frames[0])
    with pytest.raises(ValueError, match="limit is 0"):
        read_clip(folder, 0)


def test_probe(tmp_path):
    write_clip(tmp_path / "clip.mp4", moving_frames(9, 50, 70), Fraction(25))
    info = probe_clip(tmp_path / "clip.mp4")
    assert (info.height, info.width, info.frame_count, info.fps, info.has_audio) == (50, 70, 9, 25, False)
    info = probe_clip(save_frames(tmp_path / "clip", moving_frames(3)))
    assert (info.height, info.width, info.frame_count, info.fps) == (48, 64, 3, 24)


def test_rotated_video_is_read_upright(tmp_path):
    frame, path = moving_frames(1)[0], tmp_path / "phone.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(90)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    clip = read_clip(path)
    assert clip.size == (64, 48)
    assert probe_clip(path).height == 64
    assert np.abs(clip.frames[0].astype(int) - np.rot90(frame)).mean() < 8


def test_truncated_videos_are_refused(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, moving_frames(30), Fraction(24))
    whole = path.read_bytes()
    for share in (0.9, 0.5, 0.01):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=r"clip\.mp4.*(expected|whole)"):
            read_clip(path)


def test_bytes_that_are_no_video_are_refused(tmp_path):
    for name, content in (("noise.mp4", b"no video at all" * 99), ("empty.mp4", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}.*expected a whole, playable video"):
            read_clip(tmp_path / name)


def test_truncated_jpeg_is_refused_by_name(tmp_path):
    folder = save_frames(tmp_path / "clip", moving_frames(3, 200, 200), ".jpg")
    victim = folder / "00001.jpg"
    victim.write_bytes(victim.read_bytes()[:-900])
    with pytest.raises(InputError, match=r"00001\.jpg.*cannot be decoded"):
        read_clip(folder)


def test_frames_of_two_sizes_are_refused(tmp_path):
    folder = save_frames(tmp_path / "clip", moving_frames(2))
    save_frames(folder, moving_frames(1, 40, 60), first=2)
    with pytest.raises(InputError, match=r"00002\.png.*60x40, expected 64x48"):
        read_clip(folder)


def test_missing_empty_and_unknown_paths(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    for name, message in (("nothing", "not found"), ("empty", "found no frames"), ("a.txt", r"unknown kind.*\.mp4")):
        with pytest.raises(InputError, match=message):
            read_clip(tmp_path / name)


def test_two_pictures_of_one_stem_are_refused(tmp_path):
    folder = save_frames(tmp_path / "clip", moving_frames(2))
    save_frames(folder, moving_frames(2), ".jpg")
    with pytest.raises(InputError, match=r"00000\.jpg and 00000\.png"):
        read_clip(folder)


def test_long_clip_is_never_held_twice(tmp_path):
    path = tmp_path / "long.mkv"  # Matroska does not say how many frames follow
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.height, stream.width, stream.pix_fmt = 480, 640, "yuv420p"
        gray = av.VideoFrame.from_ndarray(np.full((720, 640), 128, np.uint8), format="yuv420p")
        for _ in range(320):
            gray.pts = None
            container.mux(stream.encode(gray))
        container.mux(stream.encode())
    code = (
        "import sys; from pathlib import Path; from lib.provenance import peak_memory_bytes;"
        "from lib.video.clip import read_clip;"
        "size = read_clip(Path(sys.argv[1])).frames.nbytes;"
        "print(size, peak_memory_bytes())"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, cwd=_root())
    size, peak = map(int, run.stdout.split())
    assert size == 320 * 480 * 640 * 3
    assert peak < size + 200e6


def test_readers_load_neither_cv2_nor_av_for_pictures(tmp_path):
    save_frames(tmp_path / "clip", moving_frames(2))
    code = (
        "import sys; from pathlib import Path; from lib.video.clip import read_clip; from lib.video.masks import"
        " read_masks; path = Path(sys.argv[1]); clip = read_clip(path);"
        "read_masks(path, clip.info.timeline, clip.size, positions=clip.positions);"
        "print([name for name in ('av', 'cv2', 'pydantic', 'imageio') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "clip"], capture_output=True, text=True, check=True, cwd=_root()
    )
    assert run.stdout.strip() == "[]"


def _root() -> Path:
    return Path(__file__).parents[2]
