"""Files that are cut or damaged: what is passed over, what is refused, what is taken; and whole files."""

import random
import struct
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import pytest
from video_inputs import moving_frames, save_frames, textured_frames, write_video, write_with_audio

from lib.errors import InputError
from lib.mask_tracks import read_mask_track
from lib.memory import check_memory
from lib.settings import Processing
from lib.video.clip import probe_clip, read_clip, worked_positions
from lib.video.damage import check_damage, check_promise
from lib.video.decode import Findings
from lib.video.listing import Listing, list_frames
from lib.video.timeline import Timeline

COUNT = 60


@dataclass(frozen=True)
class Kind:
    suffix: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"

    def write(self, folder, count=COUNT):
        path = folder / f"clip{self.suffix}"
        options = {"g": "12", **self.options} if self.codec != "gif" else {}
        return write_video(
            path,
            textured_frames(count),
            self.codec,
            options=options,
            container_options=self.container,
            pixel_format=self.pixels,
        )


FAST, FRAGMENTS = {"movflags": "faststart"}, {"movflags": "frag_keyframe+empty_moov"}
MJPEG = {"pixels": "yuvj420p"}
HEALTHY = [
    *(
        Kind(suffix, "libx264")
        for suffix in (".mp4", ".mov", ".mkv", ".avi", ".ts", ".m2ts", ".mpg", ".flv", ".3gp", ".mxf", ".nut")
    ),
    *(
        Kind(suffix, "libx264", {"x264-params": "open-gop=1:keyint=10:bframes=3"})
        for suffix in (".mp4", ".mkv", ".ts", ".vob", ".flv")
    ),
    *(
        Kind(suffix, "libx265", {"x265-params": "log-level=none:open-gop=1:keyint=12"})
        for suffix in (".mp4", ".mkv", ".ts")
    ),
    *(Kind(suffix, "mpeg4", {"bf": "2"}) for suffix in (".mp4", ".avi", ".mkv", ".nut", ".ts")),
    *(Kind(suffix, "mpeg2video", {"bf": "2"}) for suffix in (".mpg", ".vob", ".ts", ".mxf", ".mkv", ".mp4", ".m2v")),
    *(Kind(suffix, "mpeg1video") for suffix in (".mpg", ".ts", ".mkv")),
    *(Kind(suffix, "mjpeg", **MJPEG) for suffix in (".avi", ".mov", ".mkv", ".mjpeg")),
    *(Kind(suffix, "libvpx") for suffix in (".webm", ".mkv", ".ivf")),
    *(Kind(suffix, "libvpx-vp9") for suffix in (".webm", ".mp4", ".ivf")),
    *(Kind(suffix, "ffv1") for suffix in (".mkv", ".avi", ".mp4", ".mxf")),
    *(Kind(".mp4", codec, container=how) for codec in ("libx264", "mpeg4") for how in (FAST, FRAGMENTS)),
    *(Kind(suffix, "prores_ks", pixels="yuv422p10le") for suffix in (".mov", ".mxf")),
    Kind(".wmv", "wmv2"),
    Kind(".asf", "msmpeg4"),
    Kind(".flv", "flv1"),
    Kind(".gif", "gif", pixels="rgb8"),
    Kind(".h264", "libx264"),
    Kind(".hevc", "libx265", {"x265-params": "log-level=none"}),
    Kind(".mkv", "libx264", container={"live": "1"}),
]
# What is left where a file was cut: frames that are there, and what is said of the rest.
CUT = [
    (Kind(".mkv", "libx264"), 0.9, 48, r"of 60 frames 12 are missing and 0 corrupt \(found \d+ bytes, its headers"),
    (Kind(".mkv", "libx264"), 0.5, 24, r"of 60 frames 36 are missing and 0 corrupt \(found \d+ bytes, its headers"),
    (Kind(".webm", "libvpx-vp9"), 0.5, 24, r"of 60 frames 36 are missing and 0 corrupt \(found \d+ bytes, its headers"),
    (Kind(".mp4", "libx264", container=FAST), 0.9, 48, r"of 60 frames 12 are missing and 1 corrupt \(found \d+ bytes"),
    (Kind(".mp4", "libx264", container=FAST), 0.5, 24, r"of 60 frames 36 are missing and 1 corrupt \(found \d+ bytes"),
    (Kind(".mp4", "libx264", container=FRAGMENTS), 0.9, 48, r"of 60 frames 12 are missing and 1 corrupt"),
    (Kind(".flv", "libx264"), 0.5, 24, r"of 60 frames 36 are missing and 1 corrupt"),
    (Kind(".avi", "mpeg4"), 0.9, 49, r"of 60 frames 11 are missing and 1 corrupt \(found \d+ bytes, its headers"),
    (Kind(".avi", "mpeg4"), 0.5, 6, r"of 60 frames 54 are missing and 1 corrupt \(found \d+ bytes, its headers"),
    (Kind(".mxf", "mpeg2video"), 0.5, 24, r"of 59 frames 35 are missing and 1 corrupt"),
]
UNREADABLE = [Kind(".mp4", "libx264"), Kind(".mov", "mjpeg", **MJPEG), Kind(".3gp", "mpeg4")]  # their index comes last
STREAMS = [Kind(".ts", "libx264"), Kind(".ts", "mpeg2video"), Kind(".mpg", "mpeg2video"), Kind(".nut", "mpeg4")]
FLIPPED = [
    Kind(".mp4", "libx264"),
    Kind(".mkv", "libx264"),
    Kind(".ts", "mpeg2video"),
    Kind(".ts", "libx264"),
    Kind(".avi", "mpeg4"),
]


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def packets_of(path):
    with av.open(path) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def flip(path, frames, length=24):
    """Damage the data of these packets, in the order of the file, behind their headers."""
    content, dice = bytearray(path.read_bytes()), random.Random(1)
    for position, size in [packets_of(path)[frame] for frame in frames]:
        for at in range(position + size // 2, position + size // 2 + min(length, size // 3)):
            content[at] ^= dice.randrange(1, 256)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", HEALTHY, ids=lambda kind: f"{kind.suffix}-{kind.codec}-{''.join(kind.container)}")
def test_nothing_is_said_of_whole_files(tmp_path, kind):
    path = kind.write(tmp_path, 30)
    clip = read_clip(path)
    assert clip.notes == ()
    assert (len(clip.frames), clip.info.frame_count, tuple(clip.positions)) == (30, 30, tuple(range(30)))
    assert clip.info.timeline.times is None
    assert clip.fps == 25
    assert check_promise(path, list_frames(path)) == ()
    assert read_clip(path, 7).notes == ()


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.0])
@pytest.mark.parametrize(
    ("suffix", "video", "audio"),
    [
        (".mp4", "libx264", "aac"),
        (".mov", "mpeg4", "pcm_s16le"),
        (".mkv", "libx264", "flac"),
        (".webm", "libvpx", "libopus"),
        (".avi", "mpeg4", "mp2"),
        (".ts", "libx264", "mp2"),
        (".mpg", "mpeg2video", "mp2"),
        (".flv", "libx264", "aac"),
        (".nut", "mpeg4", "mp2"),
        (".3gp", "mpeg4", "aac"),
    ],
)
def test_sound_of_another_length_is_no_damage(tmp_path, suffix, video, audio, seconds):
    path = write_with_audio(
        tmp_path / f"a{suffix}", textured_frames(25), Fraction(25), audio, seconds=seconds, video_codec=video
    )
    clip = read_clip(path)
    assert (len(clip.frames), clip.notes, clip.info.timeline.times) == (25, (), None)


@pytest.mark.parametrize(("kind", "share", "left", "said"), CUT, ids=lambda value: getattr(value, "suffix", None))
def test_cut_files_are_refused_with_numbers_or_taken_as_they_are(tmp_path, kind, share, left, said):
    path = cut(kind.write(tmp_path), share)
    refusal = rf"clip\{kind.suffix}: damaged, {said}.*, expected at most 1; replace the file.*--accept_damaged"
    with pytest.raises(InputError, match=refusal):
        read_clip(path)
    clip = read_clip(path, accept_damaged=True)
    assert (len(clip.frames), tuple(clip.positions)) == (left, tuple(range(left)))
    (note,) = clip.notes
    assert note.text.startswith("damaged: of ") and "--accept_damaged" in note.text and note.kind == "result"
    assert read_clip(path, 4).notes == ()  # of what was asked for, nothing is missing
    assert tuple(worked_positions(clip.info, -1, left)) == tuple(clip.positions)


@pytest.mark.parametrize("kind", UNREADABLE, ids=lambda kind: kind.suffix)
@pytest.mark.parametrize("share", [0.995, 0.5, 0.1])
def test_files_that_were_cut_before_their_index_are_refused(tmp_path, kind, share):
    path = cut(kind.write(tmp_path), share)
    for accept in (False, True):
        with pytest.raises(InputError, match=r"clip.*cannot be opened.*expected a whole, playable video"):
            read_clip(path, accept_damaged=accept)


@pytest.mark.parametrize("kind", STREAMS, ids=lambda kind: f"{kind.suffix}-{kind.codec}")
@pytest.mark.parametrize("share", [0.8, 0.5])
def test_cut_streams_are_read_to_their_end(tmp_path, kind, share):
    """Nothing in them tells how long they were."""
    clip = read_clip(cut(kind.write(tmp_path), share), accept_damaged=True)
    assert COUNT * share * 0.3 < len(clip.frames) < COUNT
    assert len(clip.frames) == clip.info.frame_count == len(clip.positions)


@pytest.mark.parametrize("kind", FLIPPED, ids=lambda kind: f"{kind.suffix}-{kind.codec}")
def test_damaged_data_is_counted(tmp_path, kind):
    whole = kind.write(tmp_path)
    flip(whole, [5, 17, 29, 30, 31, 41], length=40 if kind.suffix != ".ts" else 20)
    with pytest.raises(InputError, match=r"of \d+ frames \d+ are missing and \d+ corrupt.*--accept_damaged"):
        read_clip(whole)
    first, second = (read_clip(whole, accept_damaged=True) for _ in range(2))
    assert COUNT - 6 <= len(first.frames) <= COUNT
    assert list(first.positions) == sorted(set(first.positions))
    assert first.notes == second.notes and np.array_equal(first.frames, second.frames)


def test_one_corrupt_frame_of_many_is_passed_over_with_a_note(tmp_path):
    path = flip(Kind(".mp4", "libx264", {"bf": "0", "g": "59"}).write(tmp_path), [59], length=200)
    clip = read_clip(path)
    (note,) = clip.notes
    assert note.text == "slightly damaged: of 60 frames 0 are missing and 1 corrupt"
    assert note.kind == "input"
    assert len(clip.frames) == 60
    assert read_clip(path, 50).notes == ()


def test_lost_pictures_of_an_avi_are_counted_by_its_index(tmp_path):
    path = Kind(".avi", "mjpeg", **MJPEG).write(tmp_path)
    content = bytearray(path.read_bytes())
    for position, _ in [packets_of(path)[index] for index in (20, 30, 40)]:
        content[position - 8 : position - 4] = b"\xff\xfe\x01\x02"  # the chunk's name
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"of 60 frames \d+ are missing"):
        read_clip(path)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_lost_packets_of_a_stream(tmp_path, codec):
    path = Kind(".ts", codec).write(tmp_path)
    content = path.read_bytes()
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    lost = range(len(packets) // 3, len(packets) // 2)
    path.write_bytes(b"".join(packet for index, packet in enumerate(packets) if index not in lost))
    with pytest.raises(InputError, match=r"of (59|60|61) frames \d+ are missing and \d+ corrupt"):
        read_clip(path)
    clip = read_clip(path, accept_damaged=True)
    assert 35 <= len(clip.frames) < 60
    (note,) = clip.notes
    assert note.text.startswith("damaged: ")


def test_masks_belong_to_their_own_frames_where_some_are_missing(tmp_path):
    path = Kind(".mov", "png", pixels="rgb24").write(tmp_path, 30)
    frames = read_clip(path).frames
    flip(path, [10, 11, 20], length=200)
    clip = read_clip(path, accept_damaged=True)
    kept = [index for index in range(30) if index not in (10, 11, 20)]
    assert list(clip.positions) == kept
    assert np.array_equal(clip.frames, frames[kept])
    assert clip.info.frame_count == 30
    masks = np.zeros((30, 96, 128), bool)
    for index in range(30):
        masks[index, : index + 1, :5] = True
    save_frames(tmp_path / "masks", masks.astype(np.uint8) * 255)
    track = read_mask_track(clip.info, tmp_path / "masks", Processing(), clip.positions)
    assert [int(mask[:, 0].sum()) for mask in track.masks] == [index + 1 for index in kept]
    assert list(worked_positions(clip.info, -1, 27)) == kept
    limited = read_clip(path, 15, accept_damaged=True)
    assert list(limited.positions) == [index for index in kept if index < 15]
    assert np.array_equal(limited.frames, frames[list(limited.positions)])


def test_a_number_of_frames_in_a_header_alone_proves_nothing(tmp_path):
    path = write_video(tmp_path / "a.avi", moving_frames(8), "mpeg4")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"avih") + 8 + 16, 3_000_000)
    struct.pack_into("<I", content, content.index(b"strh") + 8 + 32, 3_000_000)
    path.write_bytes(content)
    clip = read_clip(path)
    assert (len(clip.frames), clip.info.frame_count, clip.notes) == (8, 8, ())
    check_memory(probe_clip(path), Processing(), 2.0)  # three million frames would be refused


def test_a_tag_that_lies_of_the_number_of_frames_proves_nothing(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.metadata.update({"NUMBER_OF_FRAMES": "900", "NUMBER_OF_FRAMES-eng": "900", "DURATION": "00:10:00.0"})
        for frame in moving_frames(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    clip = read_clip(path)
    assert (len(clip.frames), clip.info.frame_count, clip.notes) == (8, 8, ())


def test_a_file_that_begins_between_key_frames_says_so(tmp_path):
    whole, path = Kind(".mkv", "libx264", {"bf": "0"}).write(tmp_path), tmp_path / "late.mkv"
    with av.open(whole) as source, av.open(path, "w") as result:
        stream = result.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(video=0))[5:]:
            if packet.size:
                packet.stream = stream
                result.mux(packet)
    clip = read_clip(path)
    assert len(clip.frames) == clip.info.frame_count
    (note,) = [note for note in clip.notes if "begins between key frames" in note.text]
    assert note.kind == "input"


LISTING = Listing(Timeline(1000, Fraction(25)), stamps=tuple(Fraction(n, 25) for n in range(1000)))


@pytest.mark.parametrize(
    ("frames", "corrupt", "refused"),
    [
        (1000, 0, False),
        (1000, 5, False),
        (995, 0, False),
        (996, 1, False),
        (994, 0, True),
        (1000, 6, True),
        (996, 2, True),
    ],
)
def test_half_a_percent_is_passed_over(tmp_path, frames, corrupt, refused):
    findings = Findings(frames=frames, corrupt=corrupt)
    path = tmp_path / "a.mp4"
    if refused:
        with pytest.raises(
            InputError,
            match=f"of 1000 frames {1000 - frames} are missing and {corrupt} corrupt, expected at most 5",
        ):
            check_damage(path, LISTING, findings)
        (note,) = check_damage(path, LISTING, findings, accept=True)
        assert note.kind == "result"
        return
    notes = check_damage(path, LISTING, findings)
    assert [note.kind for note in notes] == ["input"] * (frames < 1000 or corrupt > 0)


def test_a_limit_counts_only_what_it_covers(tmp_path):
    assert check_damage(tmp_path / "a.mp4", LISTING, Findings(frames=100), 100) == ()
    with pytest.raises(InputError, match="of 100 frames 10 are missing"):
        check_damage(tmp_path / "a.mp4", LISTING, Findings(frames=90), 100)
    cut_short = Listing(Timeline(40, Fraction(25)), missing=60, truncation="found 4 bytes, its headers promise 10")
    assert check_promise(tmp_path / "a.mp4", cut_short, 40) == ()
    with pytest.raises(InputError, match=r"of 50 frames 10 are missing and 0 corrupt \(found 4 bytes"):
        check_promise(tmp_path / "a.mp4", cut_short, 50)
