"""Which mask goes to which frame."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from mask_inputs import MASKS, SIZE, clip_of, numbered, texts
from PIL import Image
from video_inputs import save_frames

from lib.errors import InputError
from lib.notes import Note
from lib.video.masks import mask_reading, read_masks
from lib.video.pairing import pair_pictures, pair_video, pairing_notes
from lib.video.timeline import Timeline
from lib.video.writer import write_clip

N = None

# stems of masks, clip, way, index of each frame's mask, notes on the whole clip
PICTURES = {
    "one without a number": (("mask",), clip_of(3), "all", (0, 0, 0), ()),
    "one without a number beside named frames": (("b",), clip_of(2, ("a", "b")), "all", (0, 0), ()),
    "as many": (numbered(100, 102), clip_of(3), "order", (0, 1, 2), ()),
    "as many, other names": (("x", "y"), clip_of(2, ("a", "b")), "order", (0, 1), ()),
    "all names": (("a", "b"), clip_of(2, ("a", "b")), "name", (0, 1), ()),
    "names with a gap": (
        ("a", "d"),
        clip_of(4, ("a", "b", "c", "d")),
        "name",
        (0, 0, 0, 1),
        ("no masks for frames 1-2 (counted from 0): the mask before them is used",),
    ),
    "names of the middle": (
        ("b", "d"),
        clip_of(6, ("a", "b", "c", "d", "e", "f")),
        "name",
        (N, 0, 0, 1, N, N),
        (
            "masks 1-3 of 6 frames (counted from 0): frames 0 and 4-5 are taken to have no object",
            "no masks for frame 2 (counted from 0): the mask before them is used",
        ),
    ),
    "one number": (
        ("00000",),
        clip_of(4),
        "number",
        (0, N, N, N),
        (
            "mask 0 of 4 frames: frames 1-3 are taken to have no object; "
            "give the picture itself to use it for all frames",
        ),
    ),
    "one frame's name": (
        ("00001",),
        clip_of(2, numbered(0, 1)),
        "name",
        (N, 0),
        ("mask 1 of 2 frames: frame 0 is taken to have no object; give the picture itself to use it for all frames",),
    ),
    "a part, counted from 0": (
        numbered(8, 15),
        clip_of(24),
        "number",
        (*(N,) * 8, *range(8), *(N,) * 8),
        ("masks 8-15 of 24 frames: frames 0-7 and 16-23 are taken to have no object",),
    ),
    "gaps, counted from 0": (
        ("m0", "m1", "m2", "m5", "m7"),
        clip_of(8),
        "number",
        (0, 1, 2, 2, 2, 3, 3, 4),
        ("no masks for frames 3-4, 6: the mask before them is used",),
    ),
    "gaps, counted from 1": (
        ("m1", "m3", "m4"),
        clip_of(4),
        "number",
        (0, 0, 1, 2),
        ("no masks for frame 1 (counted from 0): the mask before them is used",),
    ),
    "from 1, but not to the last": (
        ("m1", "m3"),
        clip_of(5),
        "number",
        (N, 0, 0, 1, N),
        (
            "masks 1-3 of 5 frames: frames 0 and 4 are taken to have no object",
            "no masks for frame 2: the mask before them is used",
        ),
    ),
    "the last group of digits": (("cam2_0001", "cam2_0002"), clip_of(3), "number", (N, 0, 1), None),
    "numbers of the frames": (
        ("mask_101", "mask_102"),
        clip_of(4, ("f_100", "f_101", "f_102", "f_103")),
        "number",
        (N, 0, 1, N),
        ("masks 1-2 of 4 frames (counted from 0): frames 0 and 3 are taken to have no object",),
    ),
    "numbers of frames with gaps": (
        ("m10", "m30"),
        clip_of(3, ("f10", "f20", "f30")),
        "number",
        (0, 0, 1),
        ("no masks for frame 1 (counted from 0): the mask before them is used",),
    ),
    "numbers that not all frames have": (("m0", "m1"), clip_of(3, numbered(100, 102)), "number", (0, 1, N), None),
    "frames with the same number": (("m0", "m1"), clip_of(3, ("0_1", "1_1", "2_1")), "number", (0, 1, N), None),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures_are_paired(case):
    stems, clip, way, masks, notes = PICTURES[case]
    pairing = pair_pictures(Path("m"), stems, clip)
    assert (pairing.way, pairing.masks) == (way, masks)
    if notes is not None:
        assert pairing_notes(pairing, range(clip.count)) == tuple(Note(text, "input") for text in notes)


@pytest.mark.parametrize(
    ("stems", "clip", "message"),
    [
        (numbered(0, 4), clip_of(4), r"m: found 5 masks numbered 0-4, the clip has 4 frames: none of them is frame 4;"),
        (numbered(2, 4), clip_of(4), r"found 3 masks numbered 2-4, the clip has 4 frames: none of them is frame 4;"),
        (numbered(0, 5), clip_of(5), r"found 6 masks numbered 0-5, the clip has 5 frames: .* frame 5;"),
        (("m99",), clip_of(3, numbered(100, 102)), r"clip has 3 frames numbered 100-102: none of them is frame 99;"),
        (("x", "y"), clip_of(4), r"m: found 2 masks, the clip has 4 frames, and the name 'x' has no number"),
        (("1", "2", "last"), clip_of(4), r"found 3 masks, the clip has 4 frames, and the name 'last' has no number"),
        (("a_1", "b_1"), clip_of(4), r"m: found 2 masks, the clip has 4 frames, and both 'a_1' and 'b_1' bear .* 1;"),
        (("1", "01", "2"), clip_of(2), r"found 3 masks, the clip has 2 frames, and both '1' and '01'"),
    ],
)
def test_pictures_that_cannot_be_paired_are_refused_with_both_sides(stems, clip, message):
    with pytest.raises(InputError, match=message):
        pair_pictures(Path("m"), stems, clip)


@pytest.mark.parametrize(
    ("stems", "clip", "limit", "way", "masks"),
    [
        (numbered(1, 3), clip_of(5), 3, "order", (0, 1, 2, N, N)),
        (("x", "y", "z"), clip_of(5), 3, "order", (0, 1, 2, N, N)),
        (numbered(1, 3), clip_of(5), 4, "number", (N, 0, 1, 2, N)),
        (numbered(2, 4), clip_of(5), 3, "number", (N, N, 0, 1, 2)),  # where they are does not hang on the limit
        (("m1", "m2"), clip_of(4, numbered(0, 3)), 2, "number", (N, 0, 1, N)),
        (("00001", "00002"), clip_of(4, numbered(0, 3)), 2, "name", (N, 0, 1, N)),
        (numbered(1, 5), clip_of(5), 3, "order", (0, 1, 2, 3, 4)),
    ],
)
def test_as_many_masks_as_frames_worked_on_are_those_of_the_first(stems, clip, limit, way, masks):
    pairing = pair_pictures(Path("m"), stems, clip, limit)
    assert (pairing.way, pairing.masks) == (way, masks)


def test_a_mask_video_of_the_frames_worked_on_goes_in_order():
    pairing = pair_video(Path("m.mp4"), clip_of(4), clip_of(12), 4)
    assert (pairing.way, pairing.masks) == ("order", (0, 1, 2, 3, *(N,) * 8))
    assert pair_video(Path("m.mp4"), clip_of(12, fps=12), clip_of(24), 12).way == "time"
    with pytest.raises(InputError, match="same duration"):
        pair_video(Path("m.mp4"), clip_of(4), clip_of(12), 5)


@pytest.mark.parametrize(
    ("positions", "notes"),
    [
        (range(8, 16), ()),
        (range(2), ("frames 0-1 are",)),
        (range(12), ("frames 0-7 are",)),
        ((0, 9, 10, 20), ("frames 0 and 20 are",)),
    ],
)
def test_frames_that_are_not_wanted_cause_no_note(positions, notes):
    pairing = pair_pictures(Path("m"), numbered(8, 15), clip_of(24))
    assert [note.text for note in pairing_notes(pairing, positions)] == [
        f"masks 8-15 of 24 frames: {frames} taken to have no object" for frames in notes
    ]


def test_many_gaps_are_told_in_short():
    pairing = pair_pictures(Path("m"), [str(number) for number in range(0, 101, 5)], clip_of(101))
    (note,) = pairing_notes(pairing, range(101))
    assert note.text == (
        "no masks for frames 1-4, 6-9, 11-14, 16-19, 21-24, 26-29, 31-34, 36-39 and 12 more ranges: "
        "the mask before them is used"
    )


VARIABLE = Timeline(4, Fraction(10), (Fraction(0), Fraction(1, 10), Fraction(3, 10), Fraction(35, 100)))


@pytest.mark.parametrize(
    ("masks", "clip", "way", "expected"),
    [
        (clip_of(4, fps=12), clip_of(4), "order", (0, 1, 2, 3)),
        (clip_of(3, fps=12), clip_of(6), "time", (0, 0, 1, 1, 2, 2)),
        (clip_of(6), clip_of(3, fps=12), "time", (0, 2, 4)),
        (clip_of(25, fps=25), clip_of(24), "time", tuple(frame * 25 // 24 for frame in range(24))),
        (clip_of(5, fps=10), VARIABLE, "time", (0, 1, 3, 3)),
        (VARIABLE, clip_of(4, fps=10), "order", (0, 1, 2, 3)),
        (VARIABLE, clip_of(9, fps=20), "time", (0, 0, 1, 1, 1, 1, 2, 3, 3)),
        (clip_of(5), clip_of(6), "time", (0, 1, 2, 3, 4, 4)),  # one frame short
    ],
)
def test_mask_videos_go_in_order_or_by_time(masks, clip, way, expected):
    pairing = pair_video(Path("m.mp4"), masks, clip)
    assert (pairing.way, pairing.masks) == (way, expected)


def test_times_that_a_container_rounded_are_the_same_moment():
    rounded = Timeline(6, Fraction(24), tuple(Fraction(round(1000 * frame / 24), 1000) for frame in range(6)))
    exact = clip_of(3, fps=12)
    assert pair_video(Path("m.mp4"), exact, rounded).masks == (0, 0, 1, 1, 2, 2)
    assert pair_video(Path("m.mkv"), rounded, exact).masks == (0, 2, 4)


def test_a_mask_video_of_another_length_is_refused_with_both_sides():
    message = r"m\.mp4: the mask video has 4 frames at 24 fps \(0\.167 s\), the clip 6 frames at 24 fps \(0\.250 s\)"
    with pytest.raises(InputError, match=message):
        pair_video(Path("m.mp4"), clip_of(4), clip_of(6))


def test_masks_are_read_where_they_were_paired(tmp_path):
    folder = save_frames(tmp_path / "m", MASKS[1:3].astype(np.uint8) * 255, first=1)
    track = read_masks(folder, clip_of(6), SIZE, positions=6)
    nothing = np.zeros(SIZE, bool)
    assert np.array_equal(track.masks, np.stack([nothing, MASKS[1], MASKS[2], nothing, nothing, nothing]))
    assert texts(track) == ("masks 1-2 of 6 frames: frames 0 and 3-5 are taken to have no object",)
    track = read_masks(folder, clip_of(6), SIZE, positions=(2, 4))
    assert np.array_equal(track.masks, np.stack([MASKS[2], nothing]))
    with pytest.raises(InputError, match=r"no object in the masks of the first 1 frames \(masks 1-2 of 6 frames"):
        read_masks(folder, clip_of(6), SIZE, positions=1)


def test_each_object_is_paired_by_itself(tmp_path):
    other = np.roll(MASKS, 15, axis=1)
    save_frames(tmp_path / "m" / "person", MASKS.astype(np.uint8))
    save_frames(tmp_path / "m" / "dog", other[:2].astype(np.uint8), first=2)
    (tmp_path / "m" / "sign").mkdir()
    Image.fromarray(other[3]).save(tmp_path / "m" / "sign" / "all.png")
    track = read_masks(tmp_path / "m", clip_of(4), SIZE, positions=4)
    expected = MASKS | other[3]
    expected[2:] |= other[:2]
    assert np.array_equal(track.masks, expected)
    assert texts(track) == ("dog: masks 2-3 of 4 frames: frames 0-1 are taken to have no object",)


def video(path: Path, masks: np.ndarray, fps: int = 24) -> Path:
    write_clip(path, np.repeat(masks[..., None].astype(np.uint8) * 255, 3, axis=-1), Fraction(fps))
    return path


def test_a_mask_video_is_read_by_time(tmp_path):
    path = video(tmp_path / "m.mp4", MASKS, fps=12)
    track = read_masks(path, clip_of(8), SIZE, positions=8)
    assert (track.masks != MASKS.repeat(2, axis=0)).mean() < 0.004
    assert texts(track) == (
        "the mask video has 4 frames at 12 fps (0.333 s), the clip 8 frames at 24 fps (0.333 s): "
        "each frame takes the mask that is shown at its time",
    )
    assert (read_masks(path, clip_of(4), SIZE, positions=(1, 3)).masks != MASKS[[1, 3]]).mean() < 0.004
    with pytest.raises(InputError, match=r"4 frames at 12 fps \(0\.333 s\), the clip 9 frames at 12 fps \(0\.750 s\)"):
        read_masks(path, clip_of(9, fps=12), SIZE, positions=4)


@pytest.mark.parametrize(
    ("stems", "clip", "expected"),
    [
        (numbered(0, 3), clip_of(4), {}),
        (numbered(7, 10), clip_of(4), {}),
        (numbered(0, 3), clip_of(4, numbered(0, 3)), {}),
        (("00000", "00003"), clip_of(4, numbered(0, 3)), {}),  # the gap was always filled so
        (("00000", "00002"), clip_of(4, numbered(0, 3)), {"pairing": "name"}),
        (("00001", "00003"), clip_of(4, numbered(0, 3)), {"pairing": "name"}),
        (("00000", "00002"), clip_of(4), {"pairing": "number"}),
        (("00000",), clip_of(4), {"pairing": "number"}),
        (("00000",), clip_of(1), {}),
        (("mask",), clip_of(4), {}),
    ],
)
def test_the_reading_tells_pairings_that_are_new(tmp_path, stems, clip, expected):
    (tmp_path / "m").mkdir()
    for stem in stems:
        Image.fromarray(MASKS[0]).save(tmp_path / "m" / f"{stem}.png")
    options = {"threshold": None, "object_ids": (), "sample_aspect": Fraction(1), "size": SIZE}
    assert mask_reading(tmp_path / "m", clip, **options) == expected


@pytest.mark.parametrize(
    ("stems", "clip", "limit", "expected"),
    [
        (numbered(0, 2), clip_of(5), 3, {}),
        (numbered(0, 3), clip_of(5), 3, {}),
        (numbered(1, 3), clip_of(5), 3, {}),
        (numbered(0, 2), clip_of(5, numbered(0, 4)), 3, {}),
        (numbered(0, 2), clip_of(5), 4, {"pairing": "number"}),
        (numbered(1, 3), clip_of(5, numbered(0, 4)), 3, {"pairing": "name"}),
        (("00000",), clip_of(5), 1, {}),
    ],
)
def test_pairings_that_are_not_new_for_the_frames_worked_on_leave_the_reading_empty(
    tmp_path, stems, clip, limit, expected
):
    (tmp_path / "m").mkdir()
    for stem in stems:
        Image.fromarray(MASKS[0]).save(tmp_path / "m" / f"{stem}.png")
    options = {"threshold": None, "object_ids": (), "sample_aspect": Fraction(1), "size": SIZE}
    assert mask_reading(tmp_path / "m", clip, limit=limit, **options) == expected


def test_the_reading_of_mask_videos(tmp_path):
    path = video(tmp_path / "m.mp4", MASKS, fps=12)
    options = {"threshold": None, "object_ids": (), "sample_aspect": Fraction(1), "size": SIZE}
    assert mask_reading(path, clip_of(4), **options) == {}
    assert mask_reading(path, clip_of(8), **options) == {"by_time": True}
    assert mask_reading(path, clip_of(5, fps=12), **options) == {}  # by time, which is in order, the last one held
    assert mask_reading(path, clip_of(3, fps=12), **options) == {}
    with pytest.raises(InputError, match="same duration"):
        mask_reading(path, clip_of(12), **options)
