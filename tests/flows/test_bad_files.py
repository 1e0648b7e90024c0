"""A data set with everything that is odd or broken in it at once: each told by its name, the good ones done."""

import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from embedded_support import Command
from odd_clips import FRAMES, HLG, cut, picture, write_masks, write_video
from PIL import Image

from flows.report import Summary

pytestmark = pytest.mark.slow
_PATIENCE = 500  # seconds; 18 videos, a minute on idle cores


class Data:
    def __init__(self, root: Path) -> None:
        self.videos, self.masks = root / "videos", root / "masks"
        self.videos.mkdir(parents=True)

    def video(self, name: str, **options: object) -> Path:
        path = write_video(self.videos / name, **options)  # type: ignore[arg-type]
        write_masks(self.masks / path.stem)
        return path


def _good(data: Data) -> None:
    data.video("good_plain.mp4")
    data.video(
        "good_hdr.mp4", codec="libx265", pixel_format="yuv420p10le", tags=HLG, options={"x265-params": "log-level=none"}
    )
    data.video("good_variable.mkv", milliseconds=[0, 40, 80, 200, 240, 280, 500, 541, 582, 900, 940, 980])
    data.video("good_wide.mp4", sample_aspect=Fraction(16, 15))
    data.video("good_mirrored.mp4", matrix=(-1, 0, 0, 1))
    data.video("good_broadcast.ts", codec="mpeg2video", rate=25)
    for index in range(FRAMES):
        folder = data.videos / "good_nested" / "frames"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(index)).save(folder / f"{index:04d}.bmp")
    write_masks(data.masks / "good_nested")


def _noted(data: Data) -> None:
    data.video("noted_interlaced.mp4", options={"flags": "+ildct+ilme", "x264-params": "tff=1"}, field_order=2)
    shutil.rmtree(data.masks / "noted_interlaced")
    write_masks(data.masks / "noted_interlaced", numbers=range(3, 9))
    data.video("noted_inverted.mp4")
    shutil.rmtree(data.masks / "noted_inverted")
    write_masks(data.masks / "noted_inverted", invert=True)


def _bad(data: Data) -> None:
    data.video("bad_matrix.mkv", options={"x264-params": "colormatrix=YCgCo"})
    cut(data.video("bad_cut.avi", codec="mpeg4"), 0.85)
    data.video("bad_empty.mp4").write_bytes(b"")
    data.video("bad_text.mov").write_bytes(b"no video at all " * 99)
    data.video("bad_count.mp4")
    write_masks(data.masks / "bad_count", numbers=[FRAMES + 3])
    data.video("bad_gray.mp4")
    shutil.rmtree(data.masks / "bad_gray")
    gray = np.full((FRAMES, 64, 96, 3), 16, np.uint8)
    gray[:, 20:50, 20:60] = 127
    write_video(data.masks / "bad_gray.mp4", frames=gray)
    folder = data.videos / "bad_stray"
    folder.mkdir()
    for index in range(FRAMES):
        Image.fromarray(picture(index)).save(folder / f"{index:05d}.png")
    Image.fromarray(picture()).save(folder / "00003_old.tif")
    write_masks(data.masks / "bad_stray")


FAILURES = {
    "bad_matrix": "colour matrix 8 (YCgCo)",
    "bad_cut": "damaged",
    "bad_empty": "video cannot be opened",
    "bad_text": "video cannot be opened",
    "bad_count": str(FRAMES + 3),
    "bad_gray": "--mask_threshold",
    "bad_stray": "00003_old.tif",
    "bad_exr": "EXR",
    f"bad_{'n' * 240}": "bytes",
}
NOTES = {
    "noted_interlaced": ("--deinterlace", "frames 0-2 and 9-11 are taken to have no object"),
    "noted_inverted": ("--invert_mask",),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Command, Path]]:
    root = tmp_path_factory.mktemp("bad files")
    data, out = Data(root), root / "out"
    for make in (_good, _noted, _bad):
        make(data)
    (data.videos / "bad_exr").mkdir()
    (data.videos / "bad_exr" / "00000.exr").write_bytes(b"v/1\x01" + bytes(60))
    write_masks(data.masks / "bad_exr")
    long = f"bad_{'n' * 240}"
    shutil.copy(data.videos / "good_plain.mp4", data.videos / f"{long}.mp4")
    write_masks(data.masks / long)
    words = ["--engine", "propagation", "--dataset", "custom", "--video_root", str(data.videos)]
    words += ["--mask_root", str(data.masks), "--output_dir", str(out), "--save_comparison", "--lossless"]
    command = Command(words, out)
    command.wait(_PATIENCE)
    yield command, out
    Command.end_all()


def summary(out: Path) -> Summary:
    return Summary.model_validate_json((out / "summary.json").read_bytes())


def test_the_bad_ones_are_told_by_name_and_the_good_ones_done(run: tuple[Command, Path]) -> None:
    command, out = run
    assert command.process.returncode == 1, command.text()
    ended = {video.name: video for video in summary(out).videos}
    good = {name for name, video in ended.items() if video.status == "done"}
    assert good == {name for name in ended if name.startswith(("good", "noted"))}, command.text()
    for name, words in FAILURES.items():
        assert ended[name].status in ("failed", "skipped"), name
        assert words in ended[name].reason, (name, ended[name].reason)
        assert name in command.text()
    assert set(FAILURES) == {name for name in ended if name.startswith("bad")}
    assert "Traceback" not in command.text()


def test_doubts_are_notes_of_the_input(run: tuple[Command, Path]) -> None:
    command, out = run
    for video in summary(out).videos:
        notes = [note.text for phase in video.phases for note in phase.notes if note.kind == "input"]
        for wanted in NOTES.get(video.name, ()):
            assert any(wanted in note for note in notes), (video.name, notes)
            assert wanted in command.text()
        if video.name.startswith("good"):
            assert not notes, (video.name, notes)


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("good_plain", lambda stream, frame: (stream.codec_context.name, frame.format.name) == ("h264", "yuv420p")),
        ("good_hdr", lambda stream, frame: (frame.color_trc, frame.format.name) == (18, "yuv420p10le")),
        ("good_wide", lambda stream, frame: stream.sample_aspect_ratio == Fraction(16, 15)),
        ("noted_interlaced", lambda stream, frame: frame.interlaced_frame and stream.codec_context.field_order == 2),
    ],
)
def test_results_keep_what_their_sources_had(
    run: tuple[Command, Path], name: str, look: Callable[[av.VideoStream, av.VideoFrame], bool]
) -> None:
    for folder in ("phase1", "final"):
        with av.open(run[1] / folder / name / "propagation.mp4") as container:
            stream = container.streams.video[0]
            frame = next(container.decode(stream))
            assert look(stream, frame)
            assert (frame.height, frame.width) == (64, 96)


def test_frames_are_shown_when_the_source_shows_them(run: tuple[Command, Path]) -> None:
    wanted = [0, 40, 80, 200, 240, 280, 500, 541, 582, 900, 940, 980]
    files = ("phase1/good_variable/propagation.mp4", "final/good_variable/propagation.mkv")
    for path in (*files, "final/good_variable/comparison_4in1.mp4", "report/media/good_variable/source.mp4"):
        with av.open(run[1] / path) as container:
            assert [round(frame.time * 1000) for frame in container.decode(video=0)] == wanted


def test_a_second_run_does_nothing_again_and_says_the_same(run: tuple[Command, Path]) -> None:
    command, out = run
    before = summary(out)
    again = Command(list(command.process.args[2:]), out)  # type: ignore[index]
    again.wait(_PATIENCE)
    assert again.process.returncode == 1
    after = summary(out)
    assert after.counts["cached"] == before.counts["done"] and after.counts["done"] == 0
    assert {video.name: video.reason for video in after.videos} == {video.name: video.reason for video in before.videos}
