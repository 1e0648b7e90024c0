"""Which frames are captioned, and with which holes, for masks of all kinds and pairings."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from lib.captioner.caption_job import CaptionJob
from lib.captioner.sources import read_from_video, read_object
from lib.video.writer import write_clip

SIZE, FRAMES = (48, 64), 12


def object_at(frame):
    mask = np.zeros(SIZE, np.uint8)
    mask[10:26, 4 + 3 * frame : 20 + 3 * frame] = 255
    return mask


def save(folder, pictures):
    folder.mkdir(parents=True)
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / name)
    return folder


def job_of(tmp_path, masks, **options):
    frames = {f"{index:05d}.png": np.full((*SIZE, 3), 200, np.uint8) for index in range(FRAMES)}
    video = save(tmp_path / "frames", frames)
    return CaptionJob(
        name="clip",
        video_path=str(video),
        mask_path=str(masks),
        output_yaml=str(tmp_path / "clip.yaml"),
        mask_dilation_iter=0,
        **options,
    )


def assert_holes(pictures, expected):
    assert [picture.frame_idx for picture in pictures] == list(expected)
    for picture in pictures:
        assert np.array_equal(picture.hole, object_at(picture.frame_idx) > 0)
        assert (picture.pixels[picture.hole] == 128).all()


@pytest.mark.parametrize(
    ("numbers", "name", "middle", "samples"),
    [
        (range(8, 12), "m{:02d}", 10, (9, 10, 11)),
        (range(8, 12), "{:05d}", 10, (9, 10, 11)),
        ((5,), "m{}", 5, (5,)),
        (range(12), "m{}", 6, (3, 6, 9)),
    ],
)
def test_frames_to_caption_are_those_that_the_masks_are_for(tmp_path, numbers, name, middle, samples):
    masks = save(tmp_path / "masks", {f"{name.format(number)}.png": object_at(number) for number in numbers})
    assert_holes(read_from_video(job_of(tmp_path / "a", masks)), [middle])
    assert_holes(read_from_video(job_of(tmp_path / "b", masks, frame_strategy="multi_sample")), samples)


def test_masks_of_a_slower_video_show_the_middle_of_the_clip(tmp_path):
    pictures = np.stack([np.repeat(object_at(2 * index)[..., None], 3, axis=-1) for index in range(FRAMES // 2)])
    write_clip(tmp_path / "m.mp4", pictures, Fraction(12))
    (picture,) = read_from_video(job_of(tmp_path / "a", tmp_path / "m.mp4"))
    assert picture.frame_idx == 6
    assert (picture.hole != (object_at(6) > 0)).mean() < 0.01


def test_names_with_gaps_are_counted_as_they_were(tmp_path):
    masks = save(tmp_path / "masks", {f"{index:05d}.png": object_at(index) for index in (0, 1, 11)})
    (picture,) = read_from_video(job_of(tmp_path / "a", masks))
    assert picture.frame_idx == 1


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".png"])
def test_every_kind_of_mask_that_is_removed_by_is_captioned_by(tmp_path, suffix):
    kind = np.float32 if suffix == ".tif" else np.uint8
    masks = save(tmp_path / "masks", {f"{index:05d}{suffix}": object_at(index).astype(kind) for index in range(FRAMES)})
    job = job_of(tmp_path / "a", masks)
    assert_holes(read_from_video(job), [6])
    shown = read_object(CaptionJob.from_dict({**job.to_dict(), "object_video": job.video_path}))
    assert shown.shape[:2] == (20, 20)  # the object and a rim of 2 pixels
