"""The design's commands are understood as they are."""

from pathlib import Path

import pytest
import seed_commands
from tests_support import Dataset

from flows.command_line import parse
from lib.captioner.__main__ import parse_arguments
from lib.settings import AutoRefineSettings, RemoveSettings, RunSettings

PLACES = (Dataset(Path("/data")), Path("/w"), Path("/out"), Path("/p/bear.yaml"))


def understood(command: str, kind: type[RunSettings], *, dashes: bool = False) -> RunSettings:
    words = seed_commands.words(command, *PLACES)
    if dashes:
        words = [word.replace("_", "-") if word.startswith("--") else word for word in words]
    return parse(words, kind)[0]


@pytest.mark.parametrize("dashes", [False, True], ids=["underscores", "dashes"])
@pytest.mark.parametrize(
    ("command", "anchor", "text"),
    [
        (seed_commands.BASELINE, True, False),
        (seed_commands.ANCHOR_AND_TEXT, True, True),
        (seed_commands.COARSE, False, False),
    ],
    ids=["4.0", "4.4", "4.5"],
)
def test_run_or(command, anchor, text, dashes):
    settings = understood(command, RemoveSettings, dashes=dashes)
    assert isinstance(settings, RemoveSettings)
    assert settings.engine.engine == "diffueraser"
    assert (settings.anchor.use_anchor, settings.prompts.use_text) == (anchor, text)
    assert (settings.engine_anchor is not None) == anchor
    assert settings.output_dir == Path("/out")
    assert settings.diffueraser.diffueraser_path == Path("/w/diffuEraser")
    assert settings.propainter.propainter_model_dir == Path("/w/propainter")
    assert (settings.propainter.ref_stride, settings.propainter.neighbor_length) == (6, 25)
    assert (settings.processing.video_length, settings.processing.mask_dilation_iter) == (60, 4)
    assert settings.metrics.no_metrics
    assert settings.prompts.prompt_yaml == (Path("/p/bear.yaml") if text else None)
    assert settings.prompts.text_guidance_scale == (2.0 if text else None)


@pytest.mark.parametrize("dashes", [False, True], ids=["underscores", "dashes"])
def test_run_or_auto(dashes):
    settings = understood(seed_commands.AUTO_REFINE, AutoRefineSettings, dashes=dashes)
    assert isinstance(settings, AutoRefineSettings)
    assert settings.engine_anchor is not None
    assert settings.engine_anchor.anchor_method == "sd-inpaint"
    assert settings.prompts.use_text and settings.phase_control.skip_phase1_if_exists
    assert (settings.phase1_processing.width, settings.phase1_processing.height) == (432, 240)
    assert (settings.processing.width, settings.processing.height) == (720, 360)
    assert settings.caption_environment.caption_env == "caption_env"
    assert settings.metrics.gt_root == Path("/data/videos")


def test_generate_captions():
    options = parse_arguments(seed_commands.words(seed_commands.CAPTION, *PLACES))
    assert options.model_path == "/w/Qwen2.5-VL-7B-Instruct"


def test_the_old_name_of_the_anchors_model_is_accepted(tmp_path, monkeypatch):
    old = "runwayml/stable-diffusion-inpainting"
    command = seed_commands.BASELINE.replace("WEIGHTS/stable-diffusion-inpainting", old)
    settings = understood(command, RemoveSettings)
    assert settings.anchor.anchor_model_path == old
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inpainting").mkdir()
    settings = understood(command.replace(old, "inpainting"), RemoveSettings)
    assert settings.anchor.anchor_model_path == str(tmp_path / "inpainting")  # a worker has a folder of its own
