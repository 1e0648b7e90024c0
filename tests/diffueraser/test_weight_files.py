"""The check of the weight files before any work."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from damages import DAMAGES, write_half_of_it, write_nothing, write_pointer, write_web_page
from diffueraser_weights import (
    BRUSHNET_CONFIG,
    TEXT_CONFIG,
    TINY,
    UNET_CONFIG,
    VAE_CONFIG,
    lora_tensors,
    tensors_of,
    weight_paths,
    write_json,
    write_lora,
    write_net,
)
from safetensors.torch import load_file, save_file

from lib.diffueraser.config import NetConfig
from lib.diffueraser.tensor_shapes import text_encoder_shapes, unet_shapes
from lib.diffueraser.weight_files import PCM_STEPS, check_weights, pcm_file, weight_files
from lib.errors import InputError

ROOT = Path(__file__).parents[2]
NETS = {
    "text_encoder": "stable-diffusion-v1-5/text_encoder/model.safetensors",
    "vae": "sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
    "brushnet": "diffuEraser/brushnet/diffusion_pytorch_model.safetensors",
    "unet": "diffuEraser/unet_main/diffusion_pytorch_model.safetensors",
}
LORA = "PCM_Weights/sd15/pcm_sd15_smallcfg_2step_converted.safetensors"
VOCABULARY = "stable-diffusion-v1-5/tokenizer/vocab.json"
RESNET = "down_blocks.0.resnets.0.conv1.weight"
LORA_RESNET = "lora_unet_down_blocks_0_resnets_0_conv1"


@pytest.fixture
def folder(tmp_path, eraser_weights):
    """A copy of the weights, to damage."""
    return shutil.copytree(eraser_weights, tmp_path / "weights", ignore=shutil.ignore_patterns("*inpainting"))


def problems(folder, pcm_steps=2):
    with pytest.raises(InputError) as raised:
        check_weights(weight_paths(folder, pcm_steps))
    first, *rest = str(raised.value).splitlines()
    assert first == "the weights of DiffuEraser are not complete:"
    return [line.removeprefix("  - ") for line in rest]


def problem(folder, *parts):
    """The only problem; it names all of `parts` and says where to get the file."""
    (line,) = problems(folder)
    for part in (*parts, "the hub's"):
        assert str(part) in line
    return line


@pytest.mark.parametrize("steps", PCM_STEPS)
def test_complete_weights_are_accepted(eraser_weights, steps):
    check_weights(weight_paths(eraser_weights, steps))


def test_the_check_does_without_torch():
    names = "lib.diffueraser.weight_files", "lib.anchor.sd_inpaint", "lib.anchor.inpainting_files"
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_everything_missing_is_listed_at_once(folder):
    gone = [*NETS.values(), LORA, VOCABULARY, "diffuEraser/unet_main/config.json", "sd-vae-ft-mse/config.json"]
    for name in gone:
        (folder / name).unlink()
    said = problems(folder)
    assert len(said) == len(gone)
    for name in gone:
        place = (folder / name).parent if name in (*NETS.values(), VOCABULARY) else folder / name
        assert any(line.startswith(f"{place}:") and Path(name).suffix in line for line in said), name
    assert all("get" in line and "the hub's" in line for line in said)


def test_missing_and_damaged_files_are_listed_together(folder):
    (folder / VOCABULARY).unlink()
    (folder / NETS["vae"]).write_bytes(b"")
    write_json(folder / "diffuEraser/brushnet/config.json", {**BRUSHNET_CONFIG, "block_out_channels": [8, 16, 32, 64]})
    assert [line.partition(":")[0] for line in problems(folder)] == [
        str(folder / "stable-diffusion-v1-5/tokenizer"),
        str(folder / NETS["vae"]),
        str(folder / NETS["brushnet"]),
    ]


def test_missing_folders_are_named_with_their_flags(tmp_path):
    said = problems(tmp_path / "nowhere")
    flags = ["--base_model_path", "--vae_path", "--diffueraser_path", "--pcm_weights_path"]
    assert [flag for flag in flags if any(flag in line for line in said)] == flags
    assert len(said) == len(flags)


def test_a_level_too_deep_is_seen(folder):
    shutil.move(folder / "diffuEraser/unet_main", folder / "moved")
    said = problems(folder)
    assert len(said) == 2
    assert all("unet_main" in line for line in said)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_files_are_told_apart(folder, damage):
    paths = [folder / name for name in (*NETS.values(), LORA)]
    for path in paths:
        damage(path)
    said = problems(folder)
    assert len(said) == len(paths)
    for path, line in zip(paths, said, strict=True):
        assert line.startswith(f"{path}:")
        assert DAMAGES[damage] in line
        assert "get it again from the hub's" in line


@pytest.mark.parametrize("damage", [write_half_of_it, write_nothing, write_web_page, write_pointer])
def test_damaged_pickles_are_told_apart(folder, damage):
    path = folder / NETS["vae"]
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    check_weights(weight_paths(folder))
    damage(path.with_suffix(".bin"))
    problem(folder, path.with_suffix(".bin"))


def test_numbers_say_how_much_of_a_download_is_there(folder):
    path = folder / NETS["unet"]
    size = path.stat().st_size
    write_half_of_it(path)
    problem(folder, f"{size // 2:,} of {size:,} bytes")


@pytest.mark.parametrize(
    ("place", "content", "found", "expected"),
    [
        ("unet", "brushnet", "a BrushNet", "a UNet with motion modules"),
        ("brushnet", "unet", "a UNet with motion modules", "a BrushNet"),
        ("vae", "text_encoder", "a CLIP text encoder", "a VAE"),
        ("text_encoder", "vae", "a VAE", "a CLIP text encoder"),
        ("vae", "pcm", "a LoRA", "a VAE"),
    ],
)
def test_files_of_other_networks_are_named(folder, place, content, found, expected):
    source = folder / NETS.get(content, LORA)
    shutil.copy(source, folder / NETS[place])
    problem(folder, folder / NETS[place], f"holds {found}; expected {expected}")


def test_stable_diffusions_own_unet_is_no_motion_unet(folder):
    write_net(folder / "diffuEraser/unet_main", UNET_CONFIG, tensors_of(unet_shapes(TINY, motion=False)))
    problem(folder, "holds a UNet without motion modules; expected a UNet with motion modules")


def test_something_else_is_no_network(folder):
    save_file({"step": torch.zeros(1)}, folder / NETS["unet"])
    problem(folder, "holds something else")


@pytest.mark.parametrize("net", NETS)
def test_wrong_tensors_are_named(folder, net):
    path = folder / NETS[net]
    tensors = load_file(path)
    names = sorted(name for name in tensors if name.endswith(".weight"))
    tensors[names[0]] = torch.zeros(7, 5)
    del tensors[names[1]]
    tensors["surplus.weight"] = torch.zeros(1)
    save_file(tensors, path)
    plain = [name.removeprefix("text_model.") for name in names]
    problem(folder, path, f"{plain[1]} missing", "surplus.weight unexpected", f"{plain[0]} (7, 5) instead of (")


def test_long_lists_are_cut(folder):
    path = folder / NETS["brushnet"]
    tensors = {name: tensor for name, tensor in load_file(path).items() if "attn1" not in name}
    save_file(tensors, path)
    line = problem(folder, path)
    assert re.search(r"and \d+ more missing", line)
    assert len(line) < 800


@pytest.mark.parametrize(
    ("place", "config"),
    [
        ("diffuEraser/unet_main", UNET_CONFIG),
        ("diffuEraser/brushnet", BRUSHNET_CONFIG),
        ("sd-vae-ft-mse", VAE_CONFIG),
        ("stable-diffusion-v1-5/text_encoder", TEXT_CONFIG),
    ],
)
def test_broken_configs(folder, place, config):
    path = folder / place / "config.json"
    path.write_text("<html>")
    problem(folder, path, "a web page, not JSON")
    path.write_text("[1, 2]")
    problem(folder, path, "holds a JSON list; expected an object")
    write_json(path, {**config, "block_out_channels": None, "hidden_size": None})
    problem(folder, path, "not the config of")


@pytest.mark.parametrize(
    "change",
    [
        {"time_cond_proj_dim": None, "new_field": {"a": 1}, "_name_or_path": "x"},
        {"mid_block_type": "UNetMidBlockCrossAttnMotion"},
        {"mid_block_type": None, "num_attention_heads": None},
    ],
)
def test_config_fields_without_effect(folder, change):
    write_json(folder / "diffuEraser/unet_main/config.json", {**UNET_CONFIG, **change})
    check_weights(weight_paths(folder))
    assert NetConfig.from_published({**UNET_CONFIG, **change}) == TINY


def test_config_may_lack_what_is_not_used(folder):
    content = {name: UNET_CONFIG[name] for name in UNET_CONFIG if name != "time_cond_proj_dim"}
    write_json(folder / "diffuEraser/unet_main/config.json", content)
    check_weights(weight_paths(folder))


def change_lora(folder, change):
    tensors = lora_tensors()
    change(tensors)
    return write_lora(folder / "PCM_Weights", 2, tensors)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop(f"{LORA_RESNET}.lora_up.weight"), f"{LORA_RESNET}.lora_up.weight missing"),
        (lambda tensors: tensors.update({"lora_te_x.alpha": torch.zeros(())}), "lora_te_x.alpha belong to no module"),
        (
            lambda tensors: tensors.update({f"{LORA_RESNET}.dora_scale": torch.zeros(())}),
            f"{LORA_RESNET}.dora_scale belong to no module",
        ),
        (
            lambda tensors: tensors.update({f"{LORA_RESNET}.lora_up.weight": torch.zeros(8, 3, 1, 1)}),
            f"do not fit {RESNET} (8, 8, 3, 3)",
        ),
        (lambda tensors: tensors.clear(), "no tensors"),
    ],
    ids=["half a pair", "of a text encoder", "another method", "another rank", "empty"],
)
def test_loras_that_do_not_fit(folder, change, said):
    path = change_lora(folder, change)
    problem(folder, path, "not a PCM LoRA of the UNet", said)


def test_a_lora_of_other_steps_is_suggested(folder):
    for steps in (2, 8):
        pcm_file(weight_paths(folder, steps)).unlink()
    problem(folder, "smallcfg_2step", "--pcm_steps 4 or 16")


def test_the_loras_may_lie_in_either_folder(folder):
    inner = weight_paths(folder)
    outer = type(inner)(inner.base_model, inner.vae, inner.diffueraser, inner.pcm / "sd15")
    assert pcm_file(outer) == pcm_file(inner)
    check_weights(outer)


def test_another_text_encoder_is_seen(folder):
    config = {**TEXT_CONFIG, "hidden_size": 24, "intermediate_size": 48}
    tensors = tensors_of(text_encoder_shapes(config))
    write_net(folder / "stable-diffusion-v1-5/text_encoder", config, tensors, "model.safetensors")
    problem(folder, "gives rows of 24 numbers", "brushnet takes 16 and unet takes 16")


def test_another_tokenizer_is_seen(folder):
    vocabulary = json.loads((folder / VOCABULARY).read_text())
    write_json(folder / VOCABULARY, {**vocabulary, "more": 49407})
    problem(folder, "goes up to token 49407, and the text encoder knows 524")
    del vocabulary["<|endoftext|>"]
    write_json(folder / VOCABULARY, vocabulary)
    problem(folder, "it lacks <|endoftext|>")
    write_web_page(folder / VOCABULARY)
    problem(folder, "a web page, not JSON")


def test_merges_are_looked_at(folder):
    merges = folder / "stable-diffusion-v1-5/tokenizer/merges.txt"
    write_web_page(merges)
    problem(folder, merges, "no list of merges")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"scaling_factor": 0.13025}, "scaled by 0.13025"), ({"latent_channels": 16}, "16 channels")],
)
def test_another_vae_is_seen(folder, change, said):
    from lib.diffueraser.tensor_shapes import vae_shapes

    config = {**VAE_CONFIG, **change}
    write_net(folder / "sd-vae-ft-mse", config, tensors_of(vae_shapes(config)))
    problem(folder, said, "expected 4 at 1/8, scaled by 0.18215")


def test_networks_of_different_sizes_are_seen(folder):
    config = {**UNET_CONFIG, "block_out_channels": [8, 16, 16, 32]}
    tensors = tensors_of(unet_shapes(NetConfig.from_published(config)))
    write_net(folder / "diffuEraser/unet_main", config, tensors)
    shapes = {name: tensor for name, tensor in lora_tensors().items() if "down_blocks_0_resnets" in name}
    write_lora(folder / "PCM_Weights", 2, shapes)
    problem(folder, "brushnet has blocks of (8, 16, 32, 32) channels", "unet_main of (8, 16, 16, 32)")


def test_files_without_permission_are_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("lib.diffueraser.net_files.read_header", refuse)
    said = problems(folder)
    assert len(said) == len(NETS)
    assert all("cannot be read (Permission denied); check its permissions" in line for line in said)


def test_files_that_results_depend_on(folder):
    files = weight_files(weight_paths(folder))
    assert all(path.is_file() for path in files.values())
    assert {str(path.relative_to(folder)) for path in files.values()} >= {*NETS.values(), LORA, VOCABULARY}
    assert not any(str(folder) in name for name in files)
    (folder / NETS["unet"]).unlink()
    with pytest.raises(InputError, match="unet_main: no diffusion_pytorch_model"):
        weight_files(weight_paths(folder))
