"""The command line in interpreters of their own, one of which lacks everything that a caption environment may lack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib.captioner.prompt_file import is_ours
from lib.captioner.schema import read_prompt_file

ROOT = Path(__file__).resolve().parents[2]
SLIM = """
import importlib.abc, runpy, sys
forbidden = set({forbidden!r})
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden:
            raise ImportError(name + " is not in the caption environment")
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
        timeout=60,
    )


def slim(module, *arguments, cwd, forbidden=(), stdin=""):
    program = SLIM.format(forbidden=[*NOT_THERE, *forbidden], module=module)
    return run(*arguments, cwd=cwd, stdin=stdin, command=("-c", program))


def test_captions_then_skips_then_forces(job, tmp_path):
    arguments = ("--video_path", job.video_path, "--mask-path", job.mask_path, "--output_yaml", job.output_yaml)
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
    done = run("--video_path", relative, "--mask_path", picture_job.mask_path, "--output_yaml", "p.yaml", cwd=tmp_path)
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
