"""The files of an inpainting model in diffusers' layout; nothing here imports torch."""

from pathlib import Path

from lib.diffueraser.net_files import NetFiles
from lib.diffueraser.weight_files import TOKENIZER_FILES
from lib.errors import InputError
from lib.tensor_file import check_pickled, read_header, read_json

HUB_MODEL = "stable-diffusion-v1-5/stable-diffusion-inpainting"
_RENAMED = {"runwayml/stable-diffusion-inpainting": HUB_MODEL}
_NETS = ("text_encoder", "unet", "vae")
_SMALL_FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    *(f"tokenizer/{name}" for name in TOKENIZER_FILES),
    *(f"{net}/config.json" for net in _NETS),
)
_UNET_INPUT = "conv_in.weight"
_UNET_CHANNELS = 4 + 4 + 1  # noisy latent, latent of the masked picture, mask


def newest_name(model: str | Path) -> str | Path:
    """The model's name today: its first home on the hub is gone. A folder of the old name stays what it is."""
    return model if Path(model).is_dir() else _RENAMED.get(str(model), model)


def find_model(model: str | Path) -> Path:
    """The folder of a model: its own, or the hub's copy in the local cache. Nothing is downloaded.

    Raises:
        InputError: there is neither.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    old_names = [old for old, new in _RENAMED.items() if new == str(model)]
    for name in (str(model), *old_names):
        if cached := _in_the_hubs_cache(name):
            return cached
    raise InputError(
        f"{model}: neither a folder nor a model in the hub's local cache; get it with "
        f"`hf download {newest_name(model) if _is_hub_id(str(model)) else HUB_MODEL}`, "
        "or give --anchor_model_path the folder that holds it"
    )


def inpainting_files(folder: Path) -> dict[str, Path]:
    """Every file of the model that a picture depends on, by its place in the folder's published form.

    Raises:
        InputError: everything that is missing or wrong.
    """
    problems = [f"{folder / name}: no such file" for name in _SMALL_FILES if not (folder / name).is_file()]
    problems += [
        problem for name in _SMALL_FILES if name.endswith(".json") for problem in _json_problems(folder / name)
    ]
    files = {name: folder / name for name in _SMALL_FILES}
    for net in _NETS:
        try:
            files[f"{net}/weights"] = _whole_weights(folder / net, net)
        except (InputError, OSError) as error:
            problems.append(str(error))
    if problems:
        raise InputError(
            "\n  - ".join([f"{folder}: not a complete inpainting model; get the hub's {HUB_MODEL}:", *problems])
        )
    return files


def is_half(files: dict[str, Path]) -> bool:
    """Whether some weights are there in half precision only."""
    return any(".fp16." in path.name for path in files.values())


def _json_problems(path: Path) -> list[str]:
    try:
        if path.is_file():
            read_json(path)
    except (InputError, OSError) as error:
        return [str(error)]
    return []


def _whole_weights(folder: Path, net: str) -> Path:
    path = NetFiles(net, folder, HUB_MODEL).weights_path()
    if path.suffix == ".bin":
        check_pickled(path)
        return path
    tensors = read_header(path)
    if net == "unet":
        found = tensors[_UNET_INPUT].shape if _UNET_INPUT in tensors else None
        if found is None or found[1] != _UNET_CHANNELS:
            what = f"{found[1]} input channels" if found else f"no {_UNET_INPUT}"
            raise InputError(f"{path}: a UNet with {what}; inpainting needs one with {_UNET_CHANNELS}")
    return path


def _in_the_hubs_cache(name: str) -> Path | None:
    if not _is_hub_id(name):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError):
        return None


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith(("/", ".", "~"))
