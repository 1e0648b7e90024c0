import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.captioner.backend import Caption, CaptionerOptions, CaptionPicture, load_captioner
from lib.captioner.jobs import CaptionJob, run_caption_job
from lib.captioner.pictures import prepare_pictures, read_pictures, save_picture
from lib.captioner.prompt_file import is_ours, load_prompt_mapping, written_key
from lib.captioner.schema import read_prompt_file
from lib.errors import InputError

PALETTE = load_captioner(CaptionerOptions())


class Recorder:
    """A captioner that keeps what it was shown."""

    name = "recorder"

    def __init__(self, before_answer=lambda: None):
        self.shown = []
        self.objects = []
        self.before_answer = before_answer

    def facts(self):
        return {"name": self.name}

    def describe(self, pictures, object_picture=None):
        self.shown.append(pictures)
        self.objects.append(object_picture)
        self.before_answer()
        return Caption("A sentence", "auto_masked", self.name, ("long",))


def edit(job, text="prompt: ['by hand']\n"):
    job.yaml_path.parent.mkdir(parents=True, exist_ok=True)
    job.yaml_path.write_text(text)


def test_writes_a_prompt_file_that_phase_3_reads(job):
    record = run_caption_job(job, PALETTE)
    read = read_prompt_file(job.yaml_path)
    assert record["status"] == "written"
    assert read.prompt == record["prompt"]
    assert "blue" in read.prompt
    assert "red" not in read.prompt
    assert read.n_prompt.startswith("blurry")
    assert (record["frame_idx"], record["source"], record["model"]) == ([2], "auto_palette", "palette")
    assert record["process"]["prefix"] == sys.prefix
    assert json.loads(json.dumps(record)) == record


def test_job_survives_json(job):
    job = replace(job, object_ids=(1, 3), mask_threshold=10, save_picture="x.png")
    assert CaptionJob.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    with pytest.raises(InputError, match=r"missing fields \['output_yaml'\], unknown fields \['colour'\]"):
        CaptionJob.from_dict({"name": "a", "video_path": "b", "mask_path": "c", "colour": 1})


def test_the_captioner_sees_no_pixel_of_the_object(job):
    captioner = Recorder()
    run_caption_job(replace(job, frame_strategy="multi_sample", mask_dilation_iter=2), captioner)
    (pictures,) = captioner.shown
    assert [picture.frame_idx for picture in pictures] == [1, 2, 3]
    for picture in pictures:
        assert not (picture.pixels == (250, 0, 0)).all(-1).any()
        assert (picture.pixels[picture.hole] == 128).all()
        assert picture.hole.sum() == 16 * 16


def test_masks_of_another_size_and_shape_are_fitted_to_the_frame(job, tmp_path):
    """As after a coarse pass at a size of its own."""
    small = tmp_path / "small"
    small.mkdir()
    for path in sorted(Path(job.video_path).iterdir()):
        Image.open(path).resize((48, 24), Image.Resampling.NEAREST).save(small / path.name)
    (picture,) = read_pictures(replace(job, video_path=str(small), mask_dilation_iter=1))
    assert picture.hole.shape == (24, 48)
    assert picture.hole.sum() == (6 + 2) * (9 + 2)
    assert not (picture.pixels == (250, 0, 0)).all(-1).any()


def test_fewer_masks_than_frames_move_the_middle(job):
    for name in ("00003.png", "00004.png"):
        (Path(job.mask_path) / name).unlink()
    assert [picture.frame_idx for picture in read_pictures(job)] == [1]


def test_sparse_masks_belong_to_frames_by_name(job, tmp_path):
    """Every other frame annotated, and the video that is captioned lies elsewhere under other frame names."""
    for name in ("00001.png", "00003.png"):
        (Path(job.mask_path) / name).unlink()
    (expected,) = read_pictures(replace(job, mask_dilation_iter=0))
    coarse = tmp_path / "coarse"
    coarse.mkdir()
    for index, path in enumerate(sorted(Path(job.video_path).iterdir())):
        (coarse / f"x{index}.png").hardlink_to(path)
    moved = replace(job, video_path=str(coarse), frames_path=job.video_path, mask_dilation_iter=0)
    (picture,) = read_pictures(moved)
    for shown in (expected, picture):
        assert shown.frame_idx == 1  # the middle of three masks; frame 1 has frame 0's mask
        assert (np.nonzero(shown.hole)[1].min(), np.nonzero(shown.hole)[1].max()) == (10, 21)


def test_masks_of_several_objects_in_folders_of_their_own(job, tmp_path):
    objects = tmp_path / "objects"
    for number, shift in (("1", 0), ("2", 20)):
        (objects / number).mkdir(parents=True)
        for path in sorted(Path(job.mask_path).iterdir()):
            mask = np.roll(np.asarray(Image.open(path)), shift, axis=0)
            Image.fromarray(mask).save(objects / number / path.name)
    (picture,) = read_pictures(replace(job, mask_path=str(objects), mask_dilation_iter=0))
    assert picture.frame_idx == 2
    assert picture.hole.sum() == 2 * 12 * 12


def test_one_lone_mask_holds_for_all_frames(job):
    lone = str(Path(job.mask_path) / "00000.png")
    (picture,) = read_pictures(replace(job, mask_path=lone))
    assert picture.frame_idx == 2


def test_video_length_limits_the_choice(job):
    assert [picture.frame_idx for picture in read_pictures(replace(job, video_length=2))] == [1]


def test_a_frame_without_object_is_shown_whole(job):
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(Path(job.mask_path) / "00002.png")
    (picture,) = read_pictures(job)
    assert not picture.hole.any()


def test_prepared_pictures_give_the_same_sentence_without_the_video(job, tmp_path):
    job = replace(job, frame_strategy="multi_sample")
    prepared = prepare_pictures(job, tmp_path / "pictures")
    prepared = CaptionJob.from_dict(json.loads(json.dumps(prepared.to_dict())))
    expected = run_caption_job(job, PALETTE)
    without_video = replace(prepared, video_path="/gone", mask_path="/gone", force=True)
    actual = run_caption_job(without_video, PALETTE)
    assert (actual["prompt"], actual["frame_idx"]) == (expected["prompt"], expected["frame_idx"])


def test_saves_what_the_captioner_saw(job, tmp_path):
    shown = tmp_path / "seen" / "scene.jpg"
    run_caption_job(replace(job, save_picture=str(shown)), PALETTE)
    (picture,) = read_pictures(job)
    assert np.abs(np.asarray(Image.open(shown)).astype(int) - picture.pixels).mean() < 8  # it is a JPEG
    run_caption_job(replace(job, save_picture=str(shown), frame_strategy="multi_sample", force=True), PALETTE)
    assert Image.open(shown).size == (3 * 64, 48)


def test_large_pictures_are_saved_small(job, tmp_path):
    shown = tmp_path / "large.jpg"
    hole = np.zeros((1080, 1920), bool)
    save_picture([CaptionPicture(np.zeros((1080, 1920, 3), np.uint8), hole)], shown)
    assert Image.open(shown).size == (1280, 720)


def test_the_object_is_shown_where_its_mask_is_largest(job, tmp_path):
    grown = np.zeros((48, 64), np.uint8)
    grown[16:28, 22:44] = 255
    Image.fromarray(grown).save(Path(job.mask_path) / "00003.png")
    captioner = Recorder()
    coarse = tmp_path / "coarse"  # what is captioned has the object removed
    coarse.mkdir()
    for index in range(5):
        Image.new("RGB", (64, 48)).save(coarse / f"{index:05d}.png")
    named = replace(job, video_path=str(coarse), object_video=job.video_path)
    prepared = prepare_pictures(named, tmp_path / "pictures")
    for asked in (named, replace(prepared, object_video="/gone", force=True)):
        run_caption_job(asked, captioner)
        crop = captioner.objects.pop()
        assert crop.shape == (12 + 2 * 3, 22 + 2 * 3, 3)
        assert ((crop == (250, 0, 0)).all(-1).sum(), crop[0, 0].tolist()) == (12 * 12, [40, 90, 200])
    run_caption_job(replace(job, force=True), captioner)
    assert captioner.objects == [None]


def test_the_objects_name_stands_before_the_negative_prompt(job):
    captioner = Recorder()
    captioner.describe = lambda *_: Caption("A sentence", "auto_masked", "m", ("living",), "brown bear", ("raw one",))
    run_caption_job(replace(job, n_prompt="mud", key="caption-1"), captioner)
    assert read_prompt_file(job.yaml_path).n_prompt == "brown bear, mud"
    said = load_prompt_mapping(job.yaml_path)
    assert (said["prompt_object"], said["prompt_raw"], said["prompt_flags"]) == ("brown bear", ["raw one"], ["living"])
    assert said["prompt_facts"] == {"name": "recorder"}
    assert written_key(job.yaml_path) == "caption-1"


def test_our_own_file_is_kept_or_replaced_as_asked(job):
    run_caption_job(job, PALETTE)
    assert run_caption_job(job, Recorder())["status"] == "kept"
    replaced = run_caption_job(replace(job, replace=True), Recorder())
    assert (replaced["status"], replaced["backup"]) == ("written", None)
    assert read_prompt_file(job.yaml_path).prompt == "A sentence"
    assert is_ours(job.yaml_path)


def test_an_edited_file_stays_whatever_is_asked_but_force(job):
    edit(job)
    captioner = Recorder()
    record = run_caption_job(replace(job, replace=True), captioner)
    assert (record["status"], record["prompt"], record["source"]) == ("kept", "by hand", "manual")
    assert captioner.shown == []
    assert job.yaml_path.read_text() == "prompt: ['by hand']\n"
    forced = run_caption_job(replace(job, force=True), captioner)
    assert forced["status"] == "written"
    assert Path(forced["backup"]).read_text() == "prompt: ['by hand']\n"
    assert Path(forced["backup"]).name == "scene.yaml.bak"


def test_forcing_our_own_file_keeps_no_backup(job):
    run_caption_job(job, PALETTE)
    assert run_caption_job(replace(job, force=True), PALETTE)["backup"] is None


def test_a_file_written_while_captioning_is_kept(job):
    record = run_caption_job(job, Recorder(before_answer=lambda: edit(job)))
    assert record["status"] == "kept"
    assert job.yaml_path.read_text() == "prompt: ['by hand']\n"


@pytest.mark.parametrize("broken", ["prompt:\n\t- a", "- a", "prompt: 7", 'prompt:\n  - "half wri'])
def test_a_broken_file_is_refused_and_left_alone(job, broken):
    edit(job, broken)
    captioner = Recorder()
    with pytest.raises(InputError, match=r"scene\.yaml"):
        run_caption_job(replace(job, replace=True), captioner)
    assert job.yaml_path.read_text() == broken
    assert captioner.shown == []
    forced = run_caption_job(replace(job, force=True), captioner)
    assert Path(forced["backup"]).read_text() == broken


def test_a_file_without_prompt_is_captioned_and_backed_up(job):
    edit(job, "prompt: ['']\nn_prompt: mine\n")
    record = run_caption_job(job, PALETTE)
    assert record["status"] == "written"
    assert Path(record["backup"]).read_text() == "prompt: ['']\nn_prompt: mine\n"
    edit(job, "\n")
    assert run_caption_job(job, PALETTE)["backup"] is None  # an empty file holds nothing to lose


@pytest.mark.parametrize("missing", ["video_path", "mask_path"])
def test_missing_inputs_are_named(job, missing):
    with pytest.raises(InputError, match="/nowhere/x: not found"):
        run_caption_job(replace(job, **{missing: "/nowhere/x"}), PALETTE)
    assert not job.yaml_path.exists()


def test_a_broken_picture_is_named(picture_job):
    Path(picture_job.video_path).write_bytes(b"no png")
    with pytest.raises(InputError, match=r"00000\.png"):
        run_caption_job(picture_job, PALETTE)
