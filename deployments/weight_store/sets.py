"""The table of published weights: which files of which source are needed, and under which licence they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lib.errors import InputError
from lib.propainter.weight_files import FILES as PROPAINTER_FILES
from lib.settings.engines import WEIGHT_FOLDERS

CAPTION_REPOSITORY = "Qwen/Qwen2.5-VL-7B-Instruct"
PROPAINTER_RELEASE = "https://github.com/sczhou/ProPainter/releases/download/v0.1.0"
_NET = "diffusion_pytorch_model"
_BIG = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf")
_TOKENIZER = ("tokenizer/vocab.json", "tokenizer/merges.txt")
_MIB = 2**20


@dataclass(frozen=True)
class WeightSet:
    """One folder of weights.

    Of each entry of `weights` the first file that the source has is taken: one format, full precision before half,
    in the order in which the engines look for them.
    """

    name: str  # as --sets takes it
    folder: str  # below the folder of all weights
    repository: str  # on the hub; "" for ProPainter's release
    licence: str
    page: str  # where its text is
    required: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()  # patterns of small files, taken if they are there
    weights: tuple[tuple[str, ...], ...] = ()
    whole: bool = False  # every file, in one weight format
    non_commercial: bool = False
    expected_bytes: int = 0  # of what is downloaded, roughly; where its source gives no sizes
    known_sizes: tuple[tuple[str, tuple[int, ...]], ...] = ()  # sizes seen before; another one is worth a warning

    def choose(self, names: Collection[str]) -> list[str]:
        """Those of a source's files that are needed.

        Raises:
            InputError: it lacks some that every engine needs.
        """
        if self.whole:
            chosen, missing = _all_in_one_format(names), []
        else:
            chosen = {name for name in names if any(fnmatchcase(name, pattern) for pattern in self.wanted)}
            found = [next((name for name in choices if name in names), None) for choices in self.weights]
            chosen |= {name for name in found if name}
            pairs = zip(self.weights, found, strict=True)
            missing = [" or ".join(choices) for choices, name in pairs if not name]
        missing += [name for name in self.required if name not in names]
        if missing:
            raise InputError(f"{self.folder}: {', '.join(missing)} not among the {len(names)} files of its source")
        return sorted(chosen | set(self.required))

    def odd_size(self, name: str, size: int) -> str:
        """A warning if the file once had another size; "" if not, or if nothing is known."""
        sizes = dict(self.known_sizes).get(name, ())
        if not sizes or size in sizes:
            return ""
        usual = " or ".join(f"{known:,}" for known in sizes)
        return f"{self.folder}/{name}: {size:,} bytes; {usual} were seen before, so it may be another version"


def weight_sets(pcm_steps: Collection[int] = (2,), caption_repository: str = CAPTION_REPOSITORY) -> list[WeightSet]:
    """All sets. pcm_steps: which of the LoRAs."""
    pcm = tuple(f"sd15/pcm_sd15_smallcfg_{steps}step_converted.safetensors" for steps in sorted(set(pcm_steps)))
    sizes = tuple((name, (134_621_524, 269_127_064)) for name in pcm)
    sets = [
        replace(entry, required=pcm, known_sizes=sizes, expected_bytes=130 * _MIB * len(pcm))
        if entry.name == "pcm"
        else entry
        for entry in _SETS
    ]
    return [_captioner(caption_repository) if entry.name == "captioner" else entry for entry in sets]


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


def _captioner(repository: str) -> WeightSet:
    """The default's folder is where flows look by themselves; another model's has its own name."""
    default = next(entry for entry in _SETS if entry.name == "captioner")
    if repository == CAPTION_REPOSITORY:
        return default
    if repository.count("/") != 1 or not all(repository.split("/")) or ".." in repository:
        raise InputError(f"{repository}: no name of a repository on the hub; expected one like {CAPTION_REPOSITORY}")
    page = f"https://huggingface.co/{repository}"
    folder = repository.split("/")[1]
    return replace(default, repository=repository, folder=folder, licence="see its page", page=page, expected_bytes=0)


def _all_in_one_format(names: Collection[str]) -> set[str]:
    """Every file but hidden ones, and of weights only .safetensors, or .bin where there are none."""
    visible = [name for name in names if not any(part.startswith(".") for part in PurePosixPath(name).parts)]
    suffix = ".safetensors" if any(name.endswith(".safetensors") for name in visible) else ".bin"
    small = [name for name in visible if not name.endswith((*_BIG, *(f"{big}.index.json" for big in _BIG)))]
    return {*small, *(name for name in visible if name.endswith((suffix, f"{suffix}.index.json")))}


def _formats(folder: str, safetensors: str, pickled: str) -> tuple[str, ...]:
    """The names that a network's weights can have, best first."""
    stems = ((safetensors, "safetensors"), (pickled, "bin"))
    names = [f"{stem}{half}.{suffix}" for stem, suffix in stems for half in ("", ".fp16")]
    return tuple(f"{folder}/{name}" if folder else name for name in names)


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
)
