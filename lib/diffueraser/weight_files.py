"""The published weight files: where they lie, and whether all of them are there, whole and the right ones.

Nothing here imports torch, which takes seconds: a plan, and the check before a run, need only headers and configs.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lib.diffueraser.config import NetConfig
from lib.diffueraser.lora_names import match_lora
from lib.diffueraser.net_files import NetFiles
from lib.diffueraser.tensor_shapes import LATENT_CHANNELS, lora_targets
from lib.errors import InputError
from lib.tensor_file import read_header, read_json

TOKENIZER_FILES = ("vocab.json", "merges.txt")
TEXT_MARKS = ("<|startoftext|>", "<|endoftext|>")
PCM_STEPS = (2, 4, 8, 16)
SCALING_FACTOR = 0.18215  # of Stable Diffusion's latents; another VAE has another
_PCM_SOURCE = "the hub's wangfuyun/PCM_Weights (folder sd15)"
_BASE_SOURCE = "the hub's stable-diffusion-v1-5/stable-diffusion-v1-5"
_VAE_SOURCE = "the hub's stabilityai/sd-vae-ft-mse"
_DIFFUERASER_SOURCE = "the hub's lixiaowen/diffuEraser"


@dataclass(frozen=True)
class WeightPaths:
    """Folders of the published weights, as they are downloaded."""

    base_model: Path  # stable-diffusion-v1-5, of which tokenizer/ and text_encoder/ are used
    vae: Path  # sd-vae-ft-mse
    diffueraser: Path  # diffuEraser, with brushnet/ and unet_main/
    pcm: Path  # PCM_Weights, or its sd15/
    pcm_steps: int = 2  # which of its LoRAs: 2, 4, 8 or 16


def net_files(paths: WeightPaths) -> dict[str, NetFiles]:
    """The networks by name: text_encoder, vae, brushnet, unet."""
    nets = (
        NetFiles("text_encoder", paths.base_model / "text_encoder", _BASE_SOURCE),
        NetFiles("vae", paths.vae, _VAE_SOURCE),
        NetFiles("brushnet", paths.diffueraser / "brushnet", _DIFFUERASER_SOURCE),
        NetFiles("unet", paths.diffueraser / "unet_main", _DIFFUERASER_SOURCE),
    )
    return {net.name: net for net in nets}


def pcm_file(paths: WeightPaths) -> Path:
    """The LoRA of so many steps, in the folder itself or in its sd15/; where it should be if it is in neither."""
    name = f"pcm_sd15_smallcfg_{paths.pcm_steps}step_converted.safetensors"
    inner, outer = paths.pcm / "sd15" / name, paths.pcm / name
    return outer if outer.is_file() and not inner.is_file() else inner


def weight_files(paths: WeightPaths) -> dict[str, Path]:
    """Every file that results depend on, by a name that says nothing about where it lies.

    Raises:
        InputError: a network's weights are missing.
    """
    files = {f"tokenizer/{name}": paths.base_model / "tokenizer" / name for name in TOKENIZER_FILES}
    for name, net in net_files(paths).items():
        files |= {f"{name}/config": net.config_path, f"{name}/weights": net.weights_path()}
    return {**files, "pcm": pcm_file(paths)}


def check_weights(paths: WeightPaths) -> None:
    """See that all files are there, whole and the right ones; reads only their headers and configs.

    Raises:
        InputError: everything that is missing or wrong, and where to get it.
    """
    problems = [problem for check in _checks(paths) for problem in _attempt(check)]
    # Whether networks fit each other can be told only of whole ones.
    problems = problems or [problem for check in _fitting(paths) for problem in _attempt(check)]
    if problems:
        raise InputError("\n  - ".join(["the weights of DiffuEraser are not complete:", *problems]))


def _attempt(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except InputError as error:
        yield str(error)
    except OSError as error:
        yield f"{error.filename}: cannot be read ({error.strerror}); check its permissions"


def _checks(paths: WeightPaths) -> Iterator[Callable[[], object]]:
    nets = net_files(paths)
    contents = {
        ("--base_model_path", paths.base_model, "tokenizer/ and text_encoder/", _BASE_SOURCE): [
            lambda: _check_tokenizer(paths),
            nets["text_encoder"].shapes,
            nets["text_encoder"].check_file,
        ],
        ("--vae_path", paths.vae, "config.json and weights", _VAE_SOURCE): [
            nets["vae"].shapes,
            nets["vae"].check_file,
        ],
        ("--diffueraser_path", paths.diffueraser, "brushnet/ and unet_main/", _DIFFUERASER_SOURCE): [
            nets["brushnet"].shapes,
            nets["brushnet"].check_file,
            nets["unet"].shapes,
            nets["unet"].check_file,
        ],
        ("--pcm_weights_path", paths.pcm, "sd15/", _PCM_SOURCE): [lambda: _check_pcm(paths)],
    }
    for folder, checks in contents.items():
        yield from checks if folder[1].is_dir() else [lambda folder=folder: _no_folder(*folder)]


def _no_folder(flag: str, folder: Path, content: str, source: str) -> None:
    raise InputError(f"{folder}: no such folder; {flag} should hold {content} from {source}")


def _check_tokenizer(paths: WeightPaths) -> None:
    folder = paths.base_model / "tokenizer"
    if missing := [name for name in TOKENIZER_FILES if not (folder / name).is_file()]:
        raise InputError(f"{folder}: {', '.join(missing)} missing; get what is missing from {_BASE_SOURCE}")
    vocabulary_path, merges_path = (folder / name for name in TOKENIZER_FILES)
    try:
        vocabulary = read_json(vocabulary_path)
        if absent := [mark for mark in TEXT_MARKS if mark not in vocabulary]:
            raise InputError(f"{vocabulary_path}: not CLIP's vocabulary, it lacks {' and '.join(absent)}")
        if merges_path.read_bytes()[:1] in (b"", b"<") or b"\0" in merges_path.read_bytes():
            raise InputError(f"{merges_path}: no list of merges")
    except InputError as error:
        raise InputError(f"{error}; get it again from {_BASE_SOURCE}") from error


def _check_pcm(paths: WeightPaths) -> None:
    path = pcm_file(paths)
    if not path.is_file():
        others = [dataclasses.replace(paths, pcm_steps=steps) for steps in PCM_STEPS]
        there = [str(other.pcm_steps) for other in others if pcm_file(other).is_file()]
        have = f", or take one that is there (--pcm_steps {' or '.join(there)})" if there else ""
        raise InputError(f"{path}: no such file; get it from {_PCM_SOURCE}{have}")
    try:
        shapes = {name: tensor.shape for name, tensor in read_header(path).items()}
    except InputError as error:
        raise InputError(f"{error}; get it again from {_PCM_SOURCE}") from error
    try:
        targets = lora_targets(net_files(paths)["unet"].shapes())
    except (InputError, OSError):
        return  # the UNet's config is unusable, which is said elsewhere
    try:
        match_lora(shapes, targets)
    except InputError as error:
        raise InputError(f"{path}: not a PCM LoRA of the UNet ({error}); get it from {_PCM_SOURCE}") from error


def _fitting(paths: WeightPaths) -> Iterator[Callable[[], object]]:
    nets = net_files(paths)
    brushnet, unet = (NetConfig.from_published(nets[name].config()) for name in ("brushnet", "unet"))
    yield lambda: _check_branches(brushnet, unet, paths.diffueraser)
    yield lambda: _check_text_width({"brushnet": brushnet, "unet": unet}, nets["text_encoder"])
    yield lambda: _check_vocabulary(paths, nets["text_encoder"])
    yield lambda: _check_latents(nets["vae"])


def _check_branches(brushnet: NetConfig, unet: NetConfig, folder: Path) -> None:
    found = [(net.block_out_channels, net.layers_per_block) for net in (brushnet, unet)]
    if found[0] != found[1]:
        raise InputError(
            f"{folder}: brushnet has blocks of {found[0][0]} channels and {found[0][1]} layers, unet_main of "
            f"{found[1][0]} and {found[1][1]}: they are of different models; get both from {_DIFFUERASER_SOURCE}"
        )


def _check_text_width(nets: dict[str, NetConfig], text_encoder: NetFiles) -> None:
    width = text_encoder.config()["hidden_size"]
    if wrong := {name: net.cross_attention_dim for name, net in nets.items() if net.cross_attention_dim != width}:
        taken = " and ".join(f"{name} takes {other}" for name, other in wrong.items())
        raise InputError(
            f"{text_encoder.folder}: gives rows of {width} numbers, and {taken}: "
            f"not the text encoder of Stable Diffusion 1.5; get it from {_BASE_SOURCE}"
        )


def _check_vocabulary(paths: WeightPaths, text_encoder: NetFiles) -> None:
    vocabulary = paths.base_model / "tokenizer" / TOKENIZER_FILES[0]
    highest, known = max(read_json(vocabulary).values()), text_encoder.config()["vocab_size"]
    if highest >= known:
        raise InputError(
            f"{vocabulary}: goes up to token {highest}, and the text encoder knows {known}: "
            f"they are of different models; get both from {_BASE_SOURCE}"
        )


def _check_latents(vae: NetFiles) -> None:
    content = vae.config()
    channels = content.get("latent_channels", LATENT_CHANNELS)
    factor, scale = 2 ** (len(content["block_out_channels"]) - 1), content.get("scaling_factor", SCALING_FACTOR)
    if (channels, factor, scale) != (LATENT_CHANNELS, 8, SCALING_FACTOR):
        raise InputError(
            f"{vae.folder}: latents of {channels} channels at 1/{factor} of the size, scaled by {scale}; "
            f"expected {LATENT_CHANNELS} at 1/8, scaled by {SCALING_FACTOR}: get {_VAE_SOURCE}"
        )
