"""Loading the published networks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffueraser_weights import (
    BRUSHNET_CONFIG,
    TEXT_CONFIG,
    TINY,
    UNET_CONFIG,
    VAE_CONFIG,
    lora_tensors,
    weight_paths,
    write_json,
    write_lora,
    write_net,
)
from safetensors.torch import load_file, save_file

from lib import model_loads
from lib.diffueraser.checkpoints import load_eraser_models, load_text_encoder
from lib.diffueraser.half_copy import write_half_copy
from lib.diffueraser.lora import fuse_lora
from lib.diffueraser.tensor_shapes import lora_targets, unet_shapes
from lib.diffueraser.unet import MotionUNet
from lib.diffueraser.weight_files import check_weights
from lib.errors import InputError

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "unet": "diffuEraser/unet_main",
    "brushnet": "diffuEraser/brushnet",
    "vae": "sd-vae-ft-mse",
    "text_encoder": "stable-diffusion-v1-5/text_encoder",
}
RESNET = "down_blocks.0.resnets.0.conv1"


def file_of(folder, net):
    return folder / FOLDERS[net] / ("model" if net == "text_encoder" else "diffusion_pytorch_model")


@pytest.fixture
def folder(tmp_path, eraser_weights):
    """A copy of the weights, to change."""
    return shutil.copytree(eraser_weights, tmp_path / "weights", ignore=shutil.ignore_patterns("*inpainting"))


@pytest.fixture(scope="module")
def published(eraser_weights):
    """The networks of the weights as they are written; do not change them."""
    return load_eraser_models(weight_paths(eraser_weights), "cpu", torch.float32)


@pytest.fixture(scope="module")
def stored(eraser_weights):
    """What the files hold, by network."""
    return {net: load_file(file_of(eraser_weights, net).with_suffix(".safetensors")) for net in FOLDERS}


def load(folder, dtype=torch.float32, steps=2):
    return load_eraser_models(weight_paths(folder, steps), "cpu", dtype)


def states(models):
    return {net: getattr(models, net).state_dict() for net in ("unet", "brushnet", "vae")}


def assert_same(models, others):
    expected = states(others)
    for net, state in states(models).items():
        other = expected[net]
        assert state.keys() == other.keys()
        assert all(torch.equal(state[name], other[name]) for name in state), net


def test_every_stored_tensor_is_in_its_place(published, stored):
    changed = {f"{module}.weight" for module in lora_targets(unet_shapes(TINY))}
    for net, state in states(published).items():
        for name, tensor in stored[net].items():
            assert torch.equal(state[name], tensor) == (net != "unet" or name not in changed), f"{net} {name}"


def test_networks_are_ready_for_inference(published):
    for net in (published.unet, published.brushnet, published.vae):
        assert not any(module.training for module in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())
        tensors = [*net.parameters(), *net.buffers()]
        assert {(tensor.dtype, tensor.device.type) for tensor in tensors} == {(torch.float32, "cpu")}
    assert published.unet.config == TINY
    assert published.vae.config.scaling_factor == 0.18215


def test_loads_are_counted(eraser_weights, monkeypatch):
    monkeypatch.setattr(model_loads, "_loads", type(model_loads._loads)())
    load(eraser_weights)
    load_text_encoder(weight_paths(eraser_weights), "cpu", torch.float32)
    assert model_loads.model_loads() == {"unet": 1, "brushnet": 1, "vae": 1, "text_encoder": 1}


def test_the_lora_is_added_in_single_precision_before_the_cast(eraser_weights, published):
    full = states(published)
    for net, state in states(load(eraser_weights, torch.float16)).items():
        assert all(torch.equal(tensor, full[net][name].half()) for name, tensor in state.items()), net


def test_the_lora_is_the_one_of_so_many_steps(eraser_weights, published, stored):
    before = stored["unet"][f"{RESNET}.weight"]
    tensors = {name: tensor.float() for name, tensor in lora_tensors(16).items()}
    stem = "lora_unet_" + RESNET.replace(".", "_")
    product = tensors[f"{stem}.lora_up.weight"].flatten(1) @ tensors[f"{stem}.lora_down.weight"].flatten(1)
    change = load(eraser_weights, steps=16).unet.state_dict()[f"{RESNET}.weight"] - before
    torch.testing.assert_close(change, 0.125 * product.reshape(before.shape), atol=1e-6, rtol=0)
    assert not torch.allclose(change, published.unet.state_dict()[f"{RESNET}.weight"] - before)


def test_loading_equals_building_and_fusing(published, stored):
    net = MotionUNet(TINY)
    net.load_state_dict(stored["unet"], strict=False)
    fuse_lora(net, lora_tensors(2))
    loaded = published.unet.state_dict()
    assert all(torch.allclose(tensor, loaded[name], atol=1e-6, rtol=0) for name, tensor in net.state_dict().items())


def save_bin(tensors, path):
    torch.save(tensors, path.with_name("pytorch_model.bin" if path.name == "model" else f"{path.name}.bin"))


def save_bin_of_old_versions(tensors, path):
    torch.save(tensors, path.with_name(f"{path.name}.bin"), _use_new_zipfile_serialization=False)


def save_half_bin(tensors, path):
    name = "pytorch_model" if path.name == "model" else path.name
    torch.save({key: tensor.half() for key, tensor in tensors.items()}, path.with_name(f"{name}.fp16.bin"))


def save_half(tensors, path):
    save_file({key: tensor.half() for key, tensor in tensors.items()}, path.with_name(f"{path.name}.fp16.safetensors"))


def save_brain(tensors, path):
    save_file({key: tensor.bfloat16() for key, tensor in tensors.items()}, path.with_suffix(".safetensors"))


FORMS = {
    "first": {"unet": save_half_bin, "brushnet": save_half, "vae": save_bin_of_old_versions, "text_encoder": save_bin},
    "second": {"unet": save_half, "brushnet": save_bin, "vae": save_brain, "text_encoder": save_half_bin},
}
ROUNDED = {save_half_bin: torch.float16, save_half: torch.float16, save_brain: torch.bfloat16}


@pytest.mark.parametrize("forms", FORMS.values(), ids=FORMS)
def test_every_published_form_is_read(folder, stored, forms):
    for net, save in forms.items():
        path = file_of(folder, net)
        path.with_suffix(".safetensors").unlink()
        save(stored[net], path)
    models = load(folder)
    for net, names in {"brushnet": stored["brushnet"], "vae": stored["vae"], "unet": ["conv_in.weight"]}.items():
        state, dtype = getattr(models, net).state_dict(), ROUNDED.get(forms[net], torch.float32)
        assert all(torch.equal(state[name], stored[net][name].to(dtype).float()) for name in names), net
    assert load_text_encoder(weight_paths(folder), "cpu", torch.float32).encode("a wall").isfinite().all()


def test_the_file_of_full_precision_and_safe_format_is_preferred(folder, published):
    for net in FOLDERS:
        path = file_of(folder, net)
        path.with_name(f"{path.name}.fp16.safetensors").write_text("not looked at")
        path.with_name("diffusion_pytorch_model.bin").write_text("not looked at")
    assert_same(load(folder), published)


def test_tables_of_positions_may_be_in_the_file_or_not(folder, published, stored):
    computed = {name: table for name, table in MotionUNet(TINY).state_dict().items() if name.endswith(".pe")}
    assert len(computed) == 21
    loaded = published.unet.state_dict()
    assert all(torch.equal(loaded[name], table) for name, table in computed.items())
    given = {name: table + 1 for name, table in computed.items()}
    write_net(folder / FOLDERS["unet"], UNET_CONFIG, stored["unet"] | given)
    loaded = load(folder).unet.state_dict()
    assert all(torch.equal(loaded[name], table) for name, table in given.items())


def test_fields_that_no_result_depends_on_are_ignored(folder, published, caplog):
    configs = {"unet": UNET_CONFIG, "brushnet": BRUSHNET_CONFIG, "vae": VAE_CONFIG, "text_encoder": TEXT_CONFIG}
    unknown = {"brand_new": {"a": [1]}, "_name_or_path": "somewhere", "dropout": 0.5, "transformers_version": "4.22"}
    for net, config in configs.items():
        changes = {"mid_block_type": "UNetMidBlockCrossAttnMotion"} if net == "unet" else {}
        without = {name: value for name, value in config.items() if name not in ("time_cond_proj_dim", "sample_size")}
        write_json(folder / FOLDERS[net] / "config.json", without | unknown | changes)
    assert_same(load(folder), published)
    load_text_encoder(weight_paths(folder), "cpu", torch.float32)
    assert not caplog.records


def test_attention_of_old_vaes_is_renamed(folder, published, stored):
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in stored["vae"].items():
        for new, old in names.items():
            name = name.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
        renamed[name] = tensor
    assert sum("query" in name for name in renamed) == 4
    write_net(folder / FOLDERS["vae"], VAE_CONFIG, renamed)
    assert_same(load(folder), published)


def test_text_encoder_with_and_without_prefix(folder, eraser_weights, stored):
    expected = load_text_encoder(weight_paths(eraser_weights), "cpu", torch.float32).encode("a wall")
    plain = {name.removeprefix("text_model."): tensor for name, tensor in stored["text_encoder"].items()}
    old = stored["text_encoder"] | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    for tensors in (plain, old):
        write_net(folder / FOLDERS["text_encoder"], TEXT_CONFIG, tensors, "model.safetensors")
        encoder = load_text_encoder(weight_paths(folder), "cpu", torch.float32)
        assert torch.equal(encoder.encode("a wall"), expected)


def test_loras_with_metadata_and_in_single_precision(folder, published):
    write_lora(
        folder / "PCM_Weights", 2, {name: tensor.float() for name, tensor in lora_tensors(2).items()}, {"a": "b"}
    )
    assert_same(load(folder), published)


class Code:
    """What a file could do if it were unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Code(), "cannot be read as a checkpoint"),
        ({"conv_in_condition.weight": torch.zeros(1), "more": Code()}, "cannot be read as a checkpoint"),
        ([torch.zeros(1)], "holds list, not a dictionary of tensors"),
        ({"conv_in_condition.weight": torch.zeros(1), "brushnet_x": torch.zeros(1)}, "not the weights of its config"),
    ],
    ids=["code", "code among tensors", "list", "other tensors"],
)
def test_pickles_that_hold_something_else(folder, monkeypatch, content, said):
    monkeypatch.chdir(folder)
    path = file_of(folder, "brushnet").with_suffix(".bin")
    path.with_suffix(".safetensors").unlink()
    torch.save(content, path)
    with pytest.raises(InputError, match=said) as raised:
        load(folder)
    assert str(path) in str(raised.value)
    assert "get it again from the hub's lixiaowen/diffuEraser" in str(raised.value)
    assert not (folder / "executed").exists()


def test_nothing_is_loaded_when_something_is_missing(folder):
    before = model_loads.model_loads()
    (folder / "sd-vae-ft-mse/config.json").unlink()
    with pytest.raises(InputError, match=r"sd-vae-ft-mse/config\.json: no such file"):
        load(folder)
    assert model_loads.model_loads() == before


def test_half_copy_loads_like_the_original(tmp_path, eraser_weights, published, stored):
    paths = write_half_copy(weight_paths(eraser_weights), tmp_path / "half")
    copied = load_file(file_of(tmp_path / "half", "unet").with_suffix(".safetensors"))
    assert copied.keys() == stored["unet"].keys()
    assert all(torch.equal(tensor, stored["unet"][name].half()) for name, tensor in copied.items())
    models = load_eraser_models(paths, "cpu", torch.float16)
    for net in ("brushnet", "vae"):
        state = getattr(models, net).state_dict()
        assert all(torch.equal(state[name], tensor.half()) for name, tensor in stored[net].items())
    full = published.unet.state_dict()
    for name, tensor in models.unet.state_dict().items():
        assert torch.allclose(tensor, full[name].half(), atol=2e-3, rtol=2e-3), name
    encoders = [load_text_encoder(each, "cpu", torch.float32) for each in (paths, weight_paths(eraser_weights))]
    texts = [encoder.encode("the wall") for encoder in encoders]
    torch.testing.assert_close(*texts, atol=0.02, rtol=0)


def test_half_copy_leaves_no_unfinished_file(tmp_path, folder, stored):
    large = stored["brushnet"] | {"conv_in_condition.bias": torch.full((8,), 1e5)}
    write_net(folder / FOLDERS["brushnet"], BRUSHNET_CONFIG, large)
    with pytest.raises(InputError, match=r"conv_in_condition\.bias holds numbers above 65504"):
        write_half_copy(weight_paths(folder), tmp_path / "half")
    assert [path.name for path in (tmp_path / "half" / FOLDERS["brushnet"]).iterdir()] == ["config.json"]


def test_half_copy_never_replaces_the_weights_themselves(folder):
    with pytest.raises(InputError, match="choose another folder"):
        write_half_copy(weight_paths(folder), folder)
    check_weights(weight_paths(folder))


def test_loading_does_without_modules_that_take_seconds_to_import(eraser_weights):
    code = f"""
import sys, torch
from pathlib import Path
from diffueraser_weights import weight_paths
before = set(sys.modules)
import lib.diffueraser.pipeline
from lib.diffueraser.checkpoints import load_eraser_models, load_text_encoder
paths = weight_paths(Path({str(eraser_weights)!r}))
load_eraser_models(paths, "cpu", torch.float16)
load_text_encoder(paths, "cpu", torch.float32).encode("a wall")
slow = {{"diffusers", "transformers", "torch._dynamo", "torch._inductor", "sympy", "scipy"}}
sys.exit(", ".join(slow & (set(sys.modules) - before)) or 0)
"""
    search = os.pathsep.join(str(ROOT / folder) for folder in ("", "tests"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
