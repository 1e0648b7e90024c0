"""One folder of weights in place of seven paths."""

from pathlib import Path

import pytest

from flows.batch import Batch
from flows.command_line import parse
from lib.errors import InputError
from lib.settings import AutoRefineSettings, RemoveSettings

SINGLE = ["--input_video", "v.mp4", "--input_mask", "m.png"]


def settings_of(*words: str) -> AutoRefineSettings:
    return parse([*SINGLE, "--output_dir", "out", *words])[0].with_absolute_paths()


def used_paths(settings: AutoRefineSettings) -> dict[str, str]:
    options, prior, anchor = settings.engine_options, settings.engine_prior, settings.engine_anchor
    assert options is not None
    assert prior is not None
    assert anchor is not None
    paths = {name: getattr(options, name) for name in type(options).model_fields if name.endswith("_path")}
    return {name: str(path) for name, path in paths.items()} | {
        "propainter_model_dir": str(prior.propainter_model_dir),
        "anchor_model_path": anchor.anchor_model_path,
        "caption_model_path": str(settings.caption_model),
    }


def test_every_path_is_below_the_folder(tmp_path: Path):
    for name in ("stable-diffusion-inpainting", "Qwen2.5-VL-7B-Instruct"):
        (tmp_path / name).mkdir()
    assert used_paths(settings_of("--weights_dir", str(tmp_path))) == {
        "base_model_path": f"{tmp_path}/stable-diffusion-v1-5",
        "vae_path": f"{tmp_path}/sd-vae-ft-mse",
        "diffueraser_path": f"{tmp_path}/diffuEraser",
        "pcm_weights_path": f"{tmp_path}/PCM_Weights",
        "propainter_model_dir": f"{tmp_path}/propainter",
        "anchor_model_path": f"{tmp_path}/stable-diffusion-inpainting",
        "caption_model_path": f"{tmp_path}/Qwen2.5-VL-7B-Instruct",
    }


def test_single_paths_win(tmp_path: Path):
    words = ["--vae_path", "/v", "--propainter_model_dir", "/p", "--anchor_model_path", "some/model"]
    used = used_paths(settings_of("--weights_dir", str(tmp_path), *words, "--caption_model_path", "other/model"))
    assert used["vae_path"] == "/v"
    assert used["propainter_model_dir"] == "/p"
    assert (used["anchor_model_path"], used["caption_model_path"]) == ("some/model", "other/model")
    assert used["base_model_path"] == f"{tmp_path}/stable-diffusion-v1-5"


def test_models_that_the_hubs_cache_may_hold_are_looked_for_there(tmp_path: Path):
    used = used_paths(settings_of("--weights-dir", str(tmp_path)))
    assert used["anchor_model_path"] == "stable-diffusion-v1-5/stable-diffusion-inpainting"
    assert used["caption_model_path"] == "None"


def test_remove_takes_it_too(tmp_path: Path):
    settings, _ = parse([*SINGLE, "--save_path", "out", "--weights_dir", str(tmp_path)], RemoveSettings)
    assert settings.engine_prior is not None
    assert settings.engine_prior.propainter_model_dir == tmp_path / "propainter"


def test_without_any_the_error_names_it():
    with pytest.raises(InputError, match=r"--weights_dir with all of them \(`make weights`"):
        Batch(settings_of())
    with pytest.raises(InputError, match=r"make weights.*--weights_dir, the folder above it"):
        Batch(settings_of("--engine", "propainter"))
