"""All videos of a folder in one call: what belongs together, what is skipped and why, what a failure costs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.captioner import __main__ as command
from lib.captioner.__main__ import main
from lib.captioner.backend import Caption, CaptionerOptions
from lib.captioner.folders import FolderVideo, LeftOut, find_videos
from lib.captioner.prompt_file import existing_prompt, is_ours, load_prompt_mapping
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PALETTE = "--backend=palette"


@pytest.fixture
def scenes(job, tmp_path):
    """Three frame folders and their masks: tmp_path/videos/<name>, tmp_path/masks/<name>."""
    for name in ("bear", "cow", "dog"):
        shutil.copytree(job.video_path, tmp_path / "videos" / name)
        shutil.copytree(job.mask_path, tmp_path / "masks" / name)
    return tmp_path


def flags(folder, *more):
    return [
        f"--video_root={folder / 'videos'}",
        f"--mask_root={folder / 'masks'}",
        f"--output_dir={folder / 'o'}",
        *more,
    ]


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


class Scripted:
    """A captioner that counts its loads, keeps what it saw and fails at one call."""

    name = "scripted"
    loads = 0

    def __init__(self, fails_at=None, error=None):
        self.calls, self.fails_at, self.error, self.objects = 0, fails_at, error, []

    def load(self, _options):
        self.loads += 1
        return self

    def facts(self):
        return {"name": self.name, "device": "cpu", "torch": "2"}

    def describe(self, pictures, object_picture=None):
        assert pictures
        self.calls += 1
        self.objects.append(object_picture)
        if self.calls == self.fails_at and self.error:
            raise self.error
        return Caption(f"Sentence {self.calls}", "auto_masked", self.name, ("long",), "brown bear", ("raw",))


def scripted(monkeypatch, **arguments):
    captioner = Scripted(**arguments)
    monkeypatch.setattr(command, "load_captioner", captioner.load)
    return captioner


def test_writes_all_with_one_load_then_skips_all_with_none(scenes, monkeypatch, capsys):
    captioner = scripted(monkeypatch)
    assert main(flags(scenes, "--model_path=M")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "loading M"
    assert lines[1].startswith("loaded scripted (cpu, ")
    assert lines[2:] == [
        "[1/3] bear: written: Sentence 1 (worth a look: long)",
        "[2/3] cow: written: Sentence 2 (worth a look: long)",
        "[3/3] dog: written: Sentence 3 (worth a look: long)",
        "3 videos: 3 written, 0 skipped, 0 failed",
    ]
    said = load_prompt_mapping(scenes / "o" / "cow.yaml")
    assert (said["prompt"], said["prompt_raw"], said["prompt_facts"]["torch"]) == (["Sentence 2"], ["raw"], "2")

    (scenes / "o" / "dog.yaml").write_text("prompt: mine\n")
    assert main(flags(scenes, "--model_path=M")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"[1/3] bear: skipped: {scenes}/o/bear.yaml has a prompt; --force writes a new one"
    assert "dog.yaml has a prompt, edited by a person; --force" in lines[2]
    assert lines[3:] == ["3 videos: 0 written, 3 skipped, 0 failed"]
    assert captioner.loads == 1

    assert main(flags(scenes, "--force")) == 0
    assert "Sentence 6" in capsys.readouterr().out
    assert (scenes / "o" / "dog.yaml.bak").read_text() == "prompt: mine\n"
    assert not (scenes / "o" / "cow.yaml.bak").exists()


@pytest.mark.parametrize("error", [InputError("out of memory"), RuntimeError("CUDA says no"), OSError(28, "disk full")])
def test_a_failing_video_costs_only_itself(scenes, monkeypatch, capsys, error):
    scripted(monkeypatch, fails_at=2, error=error)
    assert main(flags(scenes)) == 1
    said = capsys.readouterr()
    assert "[2/3] cow: failed: " in said.err
    assert str(error.args[-1]) in said.err
    assert ("Traceback" in said.err) == isinstance(error, RuntimeError)
    assert said.out.endswith("3 videos: 2 written, 0 skipped, 1 failed\n")
    assert sorted(path.name for path in (scenes / "o").glob("*.yaml")) == ["bear.yaml", "dog.yaml"]


def test_each_way_of_being_unusable_is_said_and_none_stops_the_others(scenes, capsys):
    (scenes / "videos" / "bear" / "00002.png").write_bytes(b"no picture")
    (scenes / "o").mkdir()
    (scenes / "o" / "cow.yaml").write_text("prompt:\n\t- half")
    (scenes / "masks" / "ant").mkdir()
    (scenes / "videos" / "elk").mkdir()
    (scenes / "videos" / "elk" / "0.png").touch()
    touch(scenes / "videos", "fox.mp4", "fox.mov")
    touch(scenes / "masks", "fox.png")
    assert main(flags(scenes, PALETTE)) == 1
    said = capsys.readouterr()
    assert "ant: skipped: has a mask but no video\n" in said.out
    assert "elk: skipped: has no mask\n" in said.out
    assert "fox: skipped: more than one video: fox.mov, fox.mp4; keep one\n" in said.out
    assert "[1/3] bear: failed: " in said.err
    assert "picture cannot be decoded" in said.err
    assert "[2/3] cow: failed: " in said.err
    assert "line 2, column 1: not valid YAML" in said.err
    assert "[3/3] dog: written: " in said.out
    assert said.out.endswith("6 videos: 1 written, 3 skipped, 2 failed\n")
    assert (scenes / "o" / "cow.yaml").read_text() == "prompt:\n\t- half"


def test_unreadable_videos_alone_load_no_model(scenes, monkeypatch):
    captioner = scripted(monkeypatch)
    for path in (scenes / "videos").rglob("*.png"):
        path.write_bytes(b"no picture")
    assert main(flags(scenes)) == 1
    assert captioner.loads == 0


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (InputError("no weights; give another --caption_model_path"), "no weights; give another --model_path"),
        (ModuleNotFoundError("No module named 'torch'"), f"{sys.executable} -m pip install torch transformers"),
        (RuntimeError("CUDA says no"), "error: RuntimeError: CUDA says no"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_batch_at_once(scenes, monkeypatch, capsys, error, found):
    tried = []

    def refuse(options: CaptionerOptions):
        tried.append(options)
        raise error

    monkeypatch.setattr(command, "load_captioner", refuse)
    assert main(flags(scenes, "--model_path=M")) == 1
    said = capsys.readouterr()
    assert found in said.err
    assert said.err.endswith("; or give --backend palette, which needs no model\n")
    assert said.out.endswith("3 videos: 0 written, 0 skipped, 0 failed, 3 not begun\n")
    assert len(tried) == 1


def test_interrupted_batch_keeps_what_is_written_and_the_same_command_does_the_rest(scenes, monkeypatch, capsys):
    scripted(monkeypatch, fails_at=2, error=KeyboardInterrupt())
    assert main(flags(scenes)) == 130
    assert "interrupted" in capsys.readouterr().err
    captioner = scripted(monkeypatch)
    assert main(flags(scenes)) == 0
    assert captioner.calls == 2
    assert "[1/3] bear: skipped" in capsys.readouterr().out


def test_the_objects_are_named_by_their_sources(scenes, monkeypatch):
    captioner = scripted(monkeypatch)
    coarse = scenes / "phase1"
    for folder in sorted((scenes / "videos").iterdir()):
        (coarse / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir()):
            Image.new("RGB", (64, 48), "green").save(coarse / folder.name / path.name)
    (scenes / "videos" / "dog").rename(scenes / "elsewhere")
    arguments = [f"--video_root={coarse}", f"--mask_root={scenes / 'masks'}", f"--output_dir={scenes / 'o'}"]
    assert main([*arguments, f"--object_video_root={scenes / 'videos'}"]) == 0
    assert [(crop == (250, 0, 0)).all(-1).any() for crop in captioner.objects] == [True, True]
    assert existing_prompt(scenes / "o" / "bear.yaml") == "Sentence 1"
    assert load_prompt_mapping(scenes / "o" / "bear.yaml")["n_prompt"][0].startswith("brown bear, blurry")
    assert not (scenes / "o" / "dog.yaml").exists()


def test_without_a_source_no_object_is_looked_at(scenes, monkeypatch):
    captioner = scripted(monkeypatch)
    assert main(flags(scenes)) == 0
    assert captioner.objects == [None] * 3


@pytest.mark.parametrize(
    ("videos", "masks", "found"),
    [
        (["bear/0.jpg"], ["bear/0.png"], {"bear": ("bear", "bear")}),
        (["bear.mp4"], ["bear.mp4"], {"bear": ("bear.mp4", "bear.mp4")}),
        (["bear.MOV", "ox.avi"], ["bear.png", "ox/0.png"], {"bear": ("bear.MOV", "bear.png"), "ox": ("ox.avi", "ox")}),
        (["bear.png"], ["bear_mask.png"], {"bear": ("bear.png", "bear_mask.png")}),
        (["480p/bear/0.jpg"], ["480p/bear/0.png"], {"bear": ("480p/bear", "480p/bear")}),
        (["bear/0.jpg"], ["bear/1/0.png", "bear/2/0.png"], {"bear": ("bear", "bear")}),
        (["bear/diffueraser.mp4", "bear/propainter.mp4"], ["bear/0.png"], {"bear": ("bear/diffueraser.mp4", "bear")}),
        (["bear/propagation.mp4", "bear/anchor_frame.png"], ["bear/0.png"], {"bear": ("bear/propagation.mp4", "bear")}),
        (["bear/own name.mkv", "bear/notes.txt"], ["bear/0.png"], {"bear": ("bear/own name.mkv", "bear")}),
        (["bear/0.jpg", ".hidden.mp4", "notes.txt"], ["bear/0.png"], {"bear": ("bear", "bear")}),
        (
            ["bear.TS", "ox.m2ts"],
            ["bear.tif", "ox.webp"],
            {"bear": ("bear.TS", "bear.tif"), "ox": ("ox.m2ts", "ox.webp")},
        ),
        (["bear/frames/0.jpg"], ["bear/0.png"], {"bear": ("bear", "bear")}),
        (["a/0.jpg", "b/frames/0.jpg"], ["a/0.png", "b/0.png"], {"a": ("a", "a"), "b": ("b", "b")}),
    ],
)
def test_finds_what_belongs_together(tmp_path, videos, masks, found):
    touch(tmp_path / "v", *videos)
    touch(tmp_path / "m", *masks)
    expected = [FolderVideo(name, tmp_path / "v" / v, tmp_path / "m" / m, None) for name, (v, m) in found.items()]
    assert find_videos(tmp_path / "v", tmp_path / "m") == (expected, [])


def test_what_cannot_be_read_is_left_out_by_name(tmp_path):
    touch(tmp_path / "v", "ant.r3d", "bear.mp4", "cow/0.exr", "dog.mp4", "elk.mp4")
    touch(tmp_path / "m", "ant.png", "bear.png", "cow.png", "dog.exr", f"{'f' * 230}.png")
    os.mkfifo(tmp_path / "v" / "gnu.mp4")
    (tmp_path / "v" / "hen").symlink_to("hen")
    found, left_out = find_videos(tmp_path / "v", tmp_path / "m")
    assert [video.name for video in found] == ["bear"]
    said = {item.name: item.reason for item in left_out}
    assert said.pop("f" * 230).startswith("the name is too long: 230 bytes")
    assert said.pop("cow").startswith(
        "the video cannot be read: cow holds 1 pictures that cannot be read, 0.exr: OpenEXR"
    )
    assert said.pop("dog").startswith("has no mask: dog.exr: OpenEXR (.exr) is not supported")
    assert said == {
        "ant": "ant.r3d: RED raw (.r3d) is not supported, convert to ProRes or H.264",
        "elk": "has no mask",
        "gnu": "gnu.mp4 is a named pipe, expected a file or a folder",
        "hen": "hen is a link that leads back to itself",
    }


def test_videos_and_masks_in_one_folder(tmp_path):
    touch(tmp_path, "bear.mp4", "bear_mask.mp4", "cow/0.jpg", "cow_mask/0.png", "dog.mp4")
    found, left_out = find_videos(tmp_path, tmp_path)
    assert [(video.video_path.name, video.mask_path.name) for video in found] == [
        ("bear.mp4", "bear_mask.mp4"),
        ("cow", "cow_mask"),
    ]
    assert left_out == [LeftOut("dog", "has no mask")]


@pytest.mark.parametrize(
    ("videos", "masks", "said"),
    [
        ([], ["bear/0.png"], "v: found no videos; expected folders of frames"),
        (["notes.txt", "empty/notes.txt"], ["bear/0.png"], "v: found no videos"),
        (["a/bear/0.jpg", "b/bear/0.jpg"], ["bear/0.png"], "v: several of its folders would do, choose one: .*a, .*b"),
        (["bear.mp4", "cow.mp4"], ["ant/0.png"], "m: found ant; expected masks named like the videos .*: bear, cow"),
        (["bear.mp4"], [], "m: found nothing; expected masks"),
        (["bear.r3d"], ["bear/0.png"], r"v: found no videos; .*bear\.r3d: RED raw \(\.r3d\) is not supported"),
    ],
)
def test_folders_that_cannot_be_meant_are_refused(tmp_path, videos, masks, said):
    for root, names in (("v", videos), ("m", masks)):
        (tmp_path / root).mkdir()
        touch(tmp_path / root, *names)
    with pytest.raises(InputError, match=said):
        find_videos(tmp_path / "v", tmp_path / "m")


def test_roots_that_are_no_folders_are_refused(tmp_path):
    touch(tmp_path, "v/bear.mp4")
    with pytest.raises(InputError, match=r"nowhere: found nothing, expected a folder"):
        find_videos(tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match=r"bear.mp4: found a file, expected a folder"):
        find_videos(tmp_path / "v", tmp_path / "v" / "bear.mp4")


def test_names_that_are_no_utf8_are_captioned_and_printed(tmp_path):
    name = os.fsdecode(b"b\xe4r")
    for kind in ("videos", "masks"):
        (tmp_path / kind).mkdir()
        Image.fromarray(np.tri(16, dtype=np.uint8) * 90).save(tmp_path / kind / f"{name}.png")
    done = subprocess.run(
        [sys.executable, "-m", "lib.captioner", *flags(tmp_path, PALETTE)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert rb"[1/1] b\udce4r: written: " in done.stdout
    assert is_ours(tmp_path / "o" / f"{name}.yaml")
