from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from tests_support import moving_square, write_frames

from lib.captioner.judge_pictures import OUTLINE, JudgedClip, judged_frames, outlined_pair, prepare_judged_pictures
from lib.errors import InputError
from lib.settings import Processing
from lib.video.clip import read_clip
from lib.video.masks import dilate
from lib.video.writer import write_clip

SIZE = (120, 200)


@pytest.mark.parametrize(
    ("areas", "count", "expected"),
    [
        ([1, 5, 2, 9, 3, 1, 7, 1], 1, (3,)),
        ([1, 5, 2, 9, 3, 1, 7, 1], 2, (3, 6)),
        ([1, 5, 2, 9, 3, 1, 7, 1], 3, (1, 3, 6)),  # first quarter, middle half, last quarter
        ([4] * 8, 3, (0, 3, 6)),  # of equal ones the middle one
        ([4] * 24, 3, (2, 11, 20)),
        ([0, 0, 0, 6, 0, 0, 0, 0], 3, (3,)),  # no hole, no question
        ([0, 3], 3, (1,)),
        ([2], 3, (0,)),
        ([5, 1, 5], 10, (0, 1, 2)),
    ],
)
def test_frames_with_large_holes_all_over_the_clip(areas, count, expected):
    assert judged_frames(areas, count) == expected


def test_the_largest_hole_is_always_among_them():
    rng = np.random.default_rng(0)
    for _ in range(200):
        areas = rng.integers(0, 50, rng.integers(1, 40)) + 1
        count = int(rng.integers(1, 6))
        found = judged_frames(areas, count)
        assert areas[list(found)].max() == areas.max()
        assert list(found) == sorted(set(found))
        assert len(found) <= count


def hole(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_the_line_surrounds_the_hole_and_hides_nothing_of_it():
    large = np.kron(hole(40, 80, 20, 30), np.ones((10, 10), bool))  # large enough to be shown as it is
    before = np.full((*large.shape, 3), 90, np.uint8)
    after = before.copy()
    after[large] = (10, 200, 10)
    shown_before, shown_after = outlined_pair(before, after, large)
    inside = (shown_after == (10, 200, 10)).all(-1)
    assert inside.sum() == large.sum()  # every pixel of the hole is shown
    line = (shown_after == OUTLINE).all(-1)
    np.testing.assert_array_equal(line, (shown_before == OUTLINE).all(-1))
    wide, narrow = (dilate(inside[None], by)[0] for by in (4, 2))
    np.testing.assert_array_equal(line, wide & ~narrow)
    assert (shown_before[~line] == 90).all()


@pytest.mark.parametrize("shape", [(2, 3), (20, 30), (110, 190), (120, 200)])
def test_what_is_shown_has_context_and_a_useful_size(shape):
    mask = hole(5, 5, *shape)
    frame = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    before, after = outlined_pair(frame, frame, mask)
    assert before.shape == after.shape
    assert 448 <= max(before.shape[:2]) <= 1024
    np.testing.assert_array_equal(before, after)


def test_a_large_frame_is_shown_smaller():
    mask = np.ones((1200, 2000), bool)
    frame = np.zeros((1200, 2000, 3), np.uint8)
    before, _ = outlined_pair(frame, frame, mask)
    assert before.shape == (614, 1024, 3)


def test_surroundings_grow_with_the_hole():
    frame = np.zeros((600, 600, 3), np.uint8)
    small, large = np.zeros((2, 600, 600), bool)
    small[300:310, 300:310] = True
    large[200:400, 200:400] = True
    for mask, side in ((small, 10 + 2 * 24), (large, 200 + 2 * 120)):
        shown, _ = outlined_pair(frame, frame, mask)
        lit = np.zeros((600, 600, 3), np.uint8)
        lit[mask] = 255
        share = (outlined_pair(lit, lit, mask)[0][..., 1] > 127).sum() / shown[..., 0].size
        assert share == pytest.approx((mask.sum() / side**2), rel=0.1)


@pytest.fixture
def clip(tmp_path):
    """Twelve frames; the result is an encoded video of the plate, the object gone."""
    frames, masks = moving_square(1, 12, *SIZE)
    plate, _ = moving_square(1, 12, *SIZE, with_object=False)
    write_frames(tmp_path / "source", frames)
    write_frames(tmp_path / "masks", masks)
    result = tmp_path / "final" / "propagation.mp4"
    result.parent.mkdir()
    write_clip(result, plate, Fraction(24))
    return JudgedClip(tmp_path / "source", tmp_path / "masks", result, Processing())


def opened(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_before_and_after_lie_ready(clip, tmp_path):
    beside = clip.result.parent
    (beside / "judged").mkdir()
    (beside / "judged" / "000099.jpg").write_bytes(b"of an earlier judgement")
    made = prepare_judged_pictures(clip, 3, tmp_path / "work", beside)
    assert [pictures.frame_idx for pictures in made] == [1, 5, 10]
    assert sorted(path.name for path in (beside / "judged").iterdir()) == ["000001.jpg", "000005.jpg", "000010.jpg"]
    for pictures in made:
        before, after = opened(pictures.before), opened(pictures.after)
        assert before.shape == after.shape
        yellow = (np.abs(before - (250, 240, 40)) < 12).all(-1)
        assert yellow.sum() > 1000  # the object is seen before,
        assert not (np.abs(after[yellow] - (250, 240, 40)) < 12).all(-1).any()  # and not after
        both = opened(beside / pictures.shown)
        assert both.shape == (len(before), 2 * before.shape[1] + 8, 3)


def test_the_outlined_hole_is_the_dilated_one(clip, tmp_path):
    (narrow,) = prepare_judged_pictures(clip, 1, tmp_path / "a", tmp_path / "a")
    wider = JudgedClip(clip.source, clip.masks, clip.result, Processing(mask_dilation_iter=12))
    (wide,) = prepare_judged_pictures(wider, 1, tmp_path / "b", tmp_path / "b")

    def ratio(pictures) -> float:
        """Height of the line's box over the object's."""
        shown = opened(pictures.before)
        line, yellow = (shown == OUTLINE).all(-1), (shown[..., :2] > 220).all(-1)
        return np.ptp(np.flatnonzero(line.any(1))) / np.ptp(np.flatnonzero(yellow.any(1)))

    # 16 pixels of object in a mask of 18, which grows by 4 and by 12 on each side; the line keeps off a bit
    assert ratio(narrow) == pytest.approx(26 / 16, rel=0.1)
    assert ratio(wide) == pytest.approx(42 / 16, rel=0.1)


def test_a_result_of_another_size_is_shown_beside_its_source(clip, tmp_path):
    plate = read_clip(clip.result).frames[:, ::2, ::2]
    small = tmp_path / "small.mp4"
    write_clip(small, np.ascontiguousarray(plate), Fraction(24))
    shrunk = JudgedClip(clip.source, clip.masks, small, Processing(height=60, width=100))
    (pictures,) = prepare_judged_pictures(shrunk, 1, tmp_path / "work", tmp_path / "out")
    assert opened(pictures.before).shape == opened(pictures.after).shape


def test_a_source_that_is_too_short_is_named(clip, tmp_path):
    for folder in (clip.source, clip.masks):
        for path in sorted(folder.iterdir())[4:]:
            path.unlink()
    with pytest.raises(InputError, match=r"source: holds no frame 4.*propagation\.mp4"):
        prepare_judged_pictures(clip, 3, tmp_path / "work", tmp_path / "out")


def test_masks_without_an_object_are_named(clip, tmp_path):
    for path in clip.masks.iterdir():
        Image.new("L", (SIZE[1], SIZE[0])).save(path)
    with pytest.raises(InputError, match="no object in the masks"):
        prepare_judged_pictures(clip, 3, tmp_path / "work", tmp_path / "out")
