"""The anchor that paints with Stable Diffusion's inpainting model."""

import json
import os
import shutil
import socket

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from lib import model_loads
from lib.anchor import sd_inpaint
from lib.anchor.base import AnchorInpainter
from lib.anchor.inpainting_files import HUB_MODEL, find_model
from lib.anchor.sd_inpaint import SDInpaintAnchorInpainter
from lib.errors import InputError

HEIGHT, WIDTH = 61, 77  # no multiples of 8
FRAME = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
OLD_NAME = "runwayml/stable-diffusion-inpainting"
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(eraser_weights):
    return eraser_weights / "stable-diffusion-inpainting"


@pytest.fixture
def own_model(tmp_path, model):
    """A copy of the model, to change."""
    return shutil.copytree(model, tmp_path / "model")


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cached(hub_cache, model, name):
    """The hub's local copy of a model."""
    folder = hub_cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    return shutil.copytree(model, folder / "snapshots" / ("0" * 40))


@pytest.fixture
def mask():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:45, 30:60] = 1
    return mask


def anchor(model, **options) -> SDInpaintAnchorInpainter:
    return SDInpaintAnchorInpainter(model, device=lambda: torch.device("cpu"), **{"steps": 2, **options})


def painted(anchor: AnchorInpainter, mask, *prompts):
    result = anchor.inpaint(Image.fromarray(FRAME), Image.fromarray(mask), *prompts)
    assert (result.size, result.mode) == ((WIDTH, HEIGHT), "RGB")
    return np.asarray(result)


def test_only_the_hole_changes(model, mask):
    result = painted(anchor(model), mask, "a wall")
    assert np.array_equal(result[mask == 0], FRAME[mask == 0])
    assert (result[mask > 0] != FRAME[mask > 0]).any(axis=1).mean() > 0.9


def test_words_seed_and_video_decide_the_picture(model, mask):
    first = painted(anchor(model), mask, "a wall", "blurry")
    assert np.array_equal(painted(anchor(model), mask, "a wall", "blurry"), first)
    assert not np.array_equal(painted(anchor(model), mask, "the hill", "blurry"), first)
    assert not np.array_equal(painted(anchor(model), mask, "a wall", "text"), first)
    assert not np.array_equal(painted(anchor(model, seed=43), mask, "a wall", "blurry"), first)
    assert not np.array_equal(painted(anchor(model, steps=3), mask, "a wall", "blurry"), first)
    video = anchor(model).for_video("bear")
    assert not np.array_equal(painted(video, mask, "a wall", "blurry"), first)
    assert np.array_equal(painted(video, mask, "a wall", "blurry"), painted(video, mask, "a wall", "blurry"))


def test_without_words_is_with_empty_ones(model, mask):
    assert np.array_equal(painted(anchor(model), mask), painted(anchor(model), mask, "", ""))


def test_an_empty_hole_needs_no_model(tmp_path, mask):
    assert np.array_equal(painted(anchor(tmp_path / "nothing"), np.zeros_like(mask), "a wall"), FRAME)


def test_sizes_that_differ_are_refused(model, mask):
    with pytest.raises(InputError, match="one size"):
        painted(anchor(model), mask[:-1])


def test_the_model_loads_once_and_without_its_safety_checker(model, mask, monkeypatch, capfd):
    monkeypatch.setattr(model_loads, "_loads", type(model_loads._loads)())
    sd_inpaint._load.cache_clear()
    for video in ("bear", "swan"):
        painted(anchor(model).for_video(video), mask, "a wall")
    assert model_loads.model_loads() == {"sd_inpaint": 1}
    pipeline = sd_inpaint._load(model, "cpu", "float32")
    assert pipeline.safety_checker is None
    assert capfd.readouterr() == ("", "")


def test_the_fingerprint_is_of_everything_that_decides_the_picture(model, own_model):
    first = anchor(model).fingerprint()
    assert anchor(own_model).fingerprint() == first
    for other in (anchor(model, seed=1), anchor(model, steps=9), anchor(model, guidance_scale=3)):
        assert other.fingerprint() != first
    assert anchor(model, offload=True).fingerprint() == first
    (own_model / "scheduler/scheduler_config.json").write_text("{}")
    assert anchor(own_model).fingerprint() != first


def test_a_complete_model_is_accepted(model):
    anchor(model).check()


def test_everything_missing_or_damaged_is_listed_at_once(own_model):
    for name in ("tokenizer/vocab.json", "model_index.json", "vae/config.json", "text_encoder/model.safetensors"):
        (own_model / name).unlink()
    (own_model / UNET).write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(InputError) as raised:
        anchor(own_model).check()
    first, *problems = str(raised.value).splitlines()
    assert f"get the hub's {HUB_MODEL}" in first
    for part in ("vocab.json", "model_index.json", "vae/config.json", "text_encoder: no model.safetensors", "git-lfs"):
        assert sum(part in problem for problem in problems) == 1
    assert len(problems) == 5


def test_a_unet_that_does_not_inpaint_is_refused(own_model, eraser_weights):
    shutil.copy(eraser_weights / "diffuEraser/unet_main/diffusion_pytorch_model.safetensors", own_model / UNET)
    with pytest.raises(InputError, match="a UNet with 4 input channels; inpainting needs one with 9"):
        anchor(own_model).check()


def test_what_diffusers_cannot_load_is_one_clear_error(own_model, mask):
    (own_model / "scheduler/scheduler_config.json").write_text("{}")
    index = json.loads((own_model / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "NoSuchScheduler"]
    (own_model / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="cannot be loaded as an inpainting model"):
        painted(anchor(own_model), mask)


class Code:
    """What a file could do if it were unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_pickles_run_no_code(own_model, mask, monkeypatch):
    monkeypatch.chdir(own_model)
    (own_model / UNET).unlink()
    torch.save({"conv_in.weight": Code()}, (own_model / UNET).with_suffix(".bin"))
    with pytest.raises(InputError, match="cannot be loaded as an inpainting model"):
        painted(anchor(own_model), mask)
    assert not (own_model / "executed").exists()


def test_weights_in_half_precision_only(own_model, model, mask):
    from safetensors.torch import load_file, save_file

    for path in own_model.glob("*/*.safetensors"):
        save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, {"format": "pt"})
        path.rename(path.with_name(f"{path.stem}.fp16.safetensors"))
    difference = painted(anchor(own_model), mask, "a wall").astype(int) - painted(anchor(model), mask, "a wall")
    assert np.abs(difference).mean() < 5


def test_the_old_name_stands_for_the_new_one_with_a_note(hub_cache, model):
    renamed = anchor(OLD_NAME)
    assert renamed.notes == (f"{OLD_NAME} is no longer on the hub; taken for {HUB_MODEL}",)
    assert anchor(HUB_MODEL).notes == ()
    place = cached(hub_cache, model, HUB_MODEL)
    renamed.check()
    assert find_model(HUB_MODEL) == place


def test_a_copy_under_the_old_name_will_do(hub_cache, model):
    place = cached(hub_cache, model, OLD_NAME)
    anchor(OLD_NAME).check()
    assert find_model(HUB_MODEL) == place


def test_a_folder_goes_before_the_hub(hub_cache, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, tmp_path / OLD_NAME)
    anchor(OLD_NAME).check()
    assert anchor(OLD_NAME).notes == ()


@pytest.mark.parametrize("name", [HUB_MODEL, OLD_NAME, "somebody/else", "/no/such/folder", "nothing", "a//b"])
def test_what_is_neither_here_nor_cached_is_said_without_asking_the_network(hub_cache, monkeypatch, name):
    def refuse(*_args, **_options):
        raise AssertionError("no network is needed")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(InputError, match=r"neither a folder nor a model in the hub's local cache; get it with `hf"):
        anchor(name).check()
