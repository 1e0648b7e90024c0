"""The command line in interpreters of their own, one of which lacks everything that a caption environment may lack."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.captioner.__main__ import main
from lib.captioner.backend import DEFAULT_MODEL, CaptionerOptions
from lib.captioner.command_line import captioner_options, parse_arguments, single_job
from lib.captioner.prompt_file import is_ours
from lib.captioner.schema import read_prompt_file

ROOT = Path(__file__).resolve().parents[2]
SLIM = """
import importlib.abc, runpy, sys
forbidden = set({forbidden!r})
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden:
            raise ModuleNotFoundError(name + " is not in the caption environment", name=name)
sys.meta_path.insert(0, Refuse())
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
NOT_THERE = ["pydantic", "cv2", "prefect", "tyro", "skimage", "imageio", "diffusers", "tqdm"]


def run(*arguments, cwd, stdin="", command=("-m", "lib.captioner")):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command, *map(str, arguments)],
        cwd=cwd,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


def slim(module, *arguments, cwd, forbidden=(), brought=(), stdin=""):
    """`brought`: what the environment has through other packages."""
    missing = [name for name in (*NOT_THERE, *forbidden) if name not in brought]
    program = SLIM.format(forbidden=missing, module=module)
    return run(*arguments, cwd=cwd, stdin=stdin, command=("-c", program))


def test_captions_then_skips_then_forces(job, tmp_path):
    arguments = ("--video_path", job.video_path, "--mask-path", job.mask_path, "--output_yaml", job.output_yaml)
    arguments = (*arguments, "--backend", "palette")
    first = slim("lib.captioner", *arguments, "--frame-strategy=multi_sample", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    prompt = read_prompt_file(job.yaml_path).prompt
    assert prompt in first.stdout
    assert is_ours(job.yaml_path)

    job.yaml_path.write_text("prompt: mine\n")
    second = run(*arguments, cwd=tmp_path)
    assert second.returncode == 0
    assert "[SKIP] YAML already contains prompt. Use --force to overwrite." in second.stdout
    assert job.yaml_path.read_text() == "prompt: mine\n"

    third = run(*arguments, "--force", "--text-guidance-scale", "3", "--n_prompt", "mud", cwd=tmp_path)
    assert third.returncode == 0
    read = read_prompt_file(job.yaml_path)
    assert (read.text_guidance_scale, read.n_prompt) == (3.0, "mud")
    assert job.yaml_path.with_name("scene.yaml.bak").read_text() == "prompt: mine\n"


def test_a_picture_and_relative_paths(picture_job, tmp_path):
    relative = Path(picture_job.video_path).relative_to(tmp_path)
    arguments = ("--video_path", relative, "--mask_path", picture_job.mask_path, "--output_yaml", "p.yaml")
    done = run(*arguments, "--backend=palette", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_prompt_file(tmp_path / "p.yaml").prompt


@pytest.mark.parametrize(
    ("video", "yaml", "said"),
    [("/nowhere/x.mp4", "out.yaml", "/nowhere/x.mp4: not found"), (None, "broken.yaml", "line 1, column 8")],
)
def test_errors_are_one_line_and_exit_code_1(job, tmp_path, video, yaml, said):
    (tmp_path / "broken.yaml").write_text("prompt:\t- a\n\t- b")
    arguments = ("--video_path", video or job.video_path, "--mask_path", job.mask_path, "--output_yaml", yaml)
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_unknown_backend_names_the_choices(job, tmp_path):
    arguments = ("--video_path", "v", "--mask_path", "m", "--output_yaml", "o", "--backend", "nosuch")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "palette" in done.stderr


def test_flags_of_one_video_and_of_a_folder_exclude_each_other(capsys):
    one, every = ["--video_path=v", "--mask_path=m", "--output_yaml=o"], ["--video_root=v", "--mask_root=m"]
    for arguments, said in (
        ([], "found none of them"),
        (one[:2], "found --video_path, --mask_path"),
        (every, "found --video_root, --mask_root"),
        ([*one, "--output_dir=o"], "found --video_path, --mask_path, --output_yaml, --output_dir"),
        ([*one, "--object_video_root=s"], "--object_video_root does not go with --video_path"),
        ([*one, "--object_negative_prompt"], "give --object_video_path"),
        ([*every, "--output_dir=o", "--object_negative_prompt"], "give --object_video_root"),
        ([*one, "--backend=palette", "--model_path=x"], "--model_path need a model"),
        ([*one, "--text_guidance_scale=nan"], "expected a number of at least 0"),
        ([*one, "--mask_threshold=255"], "found 255; expected 0 to 254"),
        ([*one, "--num_sample_frames=0"], "found 0; expected at least 1"),
        ([*one, "--object_ids=1,a"], "found '1,a'; expected numbers"),
        ([*one, "--max_pixels=many"], "many"),
    ):
        with pytest.raises(SystemExit) as ended:
            parse_arguments(arguments)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_the_seeds_model_is_the_default():
    given = parse_arguments(["--video_path=v", "--mask_path=m", "--output_yaml=o"])
    assert captioner_options(given) == CaptionerOptions("vlm", DEFAULT_MODEL)
    job = single_job(given)
    assert (job.name, job.frame_strategy, job.num_sample_frames, job.object_video) == ("o", "middle", 3, "")


def test_what_the_flags_say_reaches_options_and_job(tmp_path):
    (tmp_path / "rules.txt").write_text("Say it in five words.\n")
    given = parse_arguments(
        f"--video-path v --mask-path m --output-yaml c/bear.yaml --model-path M --device cpu --dtype float16 "
        f"--attention eager --max-pixels 9 --multi-sample-merge summary --object-video-path s --object-ids 1,3 "
        f"--system-prompt-file {tmp_path / 'rules.txt'} --n-prompt fog".split()
    )
    assert captioner_options(given) == CaptionerOptions(
        "vlm", "M", "cpu", "float16", "eager", 9, "Say it in five words.", "summary", object_negative_prompt=True
    )
    job = single_job(given)
    assert (job.name, job.object_video, job.frames_path) == ("bear", "s", "s")
    assert (job.object_ids, job.n_prompt, job.output_yaml) == ((1, 3), "fog", "c/bear.yaml")


def test_a_missing_system_prompt_file_is_one_error(job, capsys):
    arguments = ["--video_path", job.video_path, "--mask_path", job.mask_path, "--output_yaml", job.output_yaml]
    assert main([*arguments, "--system_prompt_file", "/nowhere/rules.txt"]) == 1
    assert capsys.readouterr().err.startswith("error: /nowhere/rules.txt: system prompt cannot be read")


def test_a_missing_model_is_one_error_and_the_pictures_are_looked_at_first(job, capsys, tmp_path):
    arguments = ["--mask_path", job.mask_path, "--output_yaml", job.output_yaml, "--model_path", f"{tmp_path}/none"]
    assert main([*arguments, "--video_path", "/nowhere/x.mp4"]) == 1
    assert "loading" not in capsys.readouterr().out
    assert main([*arguments, "--video_path", job.video_path]) == 1
    said = capsys.readouterr()
    assert said.out == f"loading {tmp_path}/none\n"
    assert said.err.startswith("error: ")
    assert "--caption_model_path" not in said.err
    assert said.err.endswith("; or give --backend palette, which needs no model\n")
    assert not job.yaml_path.exists()


def test_pictures_need_no_pyav_and_videos_say_what_they_need(job, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"0")
    arguments = ("--mask_path", job.mask_path, "--output_yaml", job.output_yaml, "--backend", "palette")
    video = slim("lib.captioner", *arguments, "--video_path", "clip.mp4", cwd=tmp_path, forbidden=["av"])
    assert video.returncode == 1
    assert video.stderr.startswith("error: clip.mp4: videos are read with PyAV")
    assert f"{sys.executable} -m pip install av" in video.stderr
    assert video.stderr.count("\n") == 1
    frames = slim("lib.captioner", *arguments, "--video_path", job.video_path, cwd=tmp_path, forbidden=["av"])
    assert frames.returncode == 0, frames.stderr


@pytest.mark.parametrize("content", ["", "# not yet\n", "prompt:\n", "prompt: ''\n"])
def test_a_file_that_says_nothing_is_captioned_and_its_comments_are_kept(job, content, capsys):
    job.yaml_path.parent.mkdir()
    job.yaml_path.write_text(content)
    arguments = ["--video_path", job.video_path, "--mask_path", job.mask_path, "--output_yaml", job.output_yaml]
    assert main([*arguments, "--backend=palette"]) == 0
    assert read_prompt_file(job.yaml_path).prompt
    backup = job.yaml_path.with_name("scene.yaml.bak")
    assert (backup.read_text() if backup.exists() else "") == content
    assert ("is kept as" in capsys.readouterr().out) == bool(content)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_the_prompt_files_place_is_refused_before_anything_is_read(job, capsys, force):
    job.yaml_path.mkdir(parents=True)
    arguments = ["--video_path", "/nowhere", "--mask_path", job.mask_path, "--output_yaml", job.output_yaml]
    assert main([*arguments, "--backend=palette", *(["--force"] if force else [])]) == 1
    assert capsys.readouterr().err.startswith(f"error: {job.output_yaml}: found a folder")


def test_a_model_says_its_sentence_for_every_video_of_a_folder(job, tmp_path):
    """In an interpreter without whatever a caption environment may lack; the model itself is a real, tiny one."""
    from tiny_vlms import write_tiny_vlm  # torch takes seconds

    sentence = "A quiet stone courtyard under soft light"
    model = write_tiny_vlm(tmp_path / "Tiny-VL", says=sentence)
    for name in ("bear", "cow"):
        shutil.copytree(job.video_path, tmp_path / "videos" / name)
        shutil.copytree(job.mask_path, tmp_path / "masks" / name)
    arguments = ("--video_root=videos", "--mask_root=masks", "--output_dir=prompts", f"--model_path={model}")
    done = slim("lib.captioner", *arguments, "--device=cpu", cwd=tmp_path, forbidden=["av"], brought=["tqdm"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("loading ") == 1
    assert f"[2/2] cow: written: {sentence}\n2 videos: 2 written" in done.stdout
    read = read_prompt_file(tmp_path / "prompts" / "bear.yaml")
    assert (read.prompt, read.prompt_source, read.prompt_model) == (sentence, "auto_masked", "Tiny-VL")
