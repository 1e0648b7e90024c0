"""The published networks on their device: built without memory, filled with tensors read straight to it."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lib.diffueraser.autoencoder import Autoencoder, AutoencoderConfig
from lib.diffueraser.brushnet import BrushNet
from lib.diffueraser.config import NetConfig
from lib.diffueraser.lora import LoraLayer, lora_layers
from lib.diffueraser.models import EraserModels
from lib.diffueraser.net_files import NetFiles, plain_name
from lib.diffueraser.tensor_reading import SafeTensors, open_tensors
from lib.diffueraser.tensor_shapes import lora_targets
from lib.diffueraser.text import TextEncoder
from lib.diffueraser.text_config import TextConfig
from lib.diffueraser.text_model import TextModel
from lib.diffueraser.tokenizer import ClipTokenizer
from lib.diffueraser.unet import MotionUNet
from lib.diffueraser.weight_files import WeightPaths, check_weights, net_files, pcm_file
from lib.errors import InputError
from lib.model_loads import note_load

READERS = 8  # threads
_FILLING = ("kaiming_uniform_", "uniform_", "normal_", "fill_", "zero_")
_Net = TypeVar("_Net", bound=nn.Module)
Change = Callable[[str, torch.Tensor], torch.Tensor]  # of a tensor by its name, before it gets its final type


def load_eraser_models(paths: WeightPaths, device: torch.device | str, dtype: torch.dtype) -> EraserModels:
    """BrushNet, the motion UNet with the PCM LoRA in its weights, and the VAE.

    Args:
        device: where all of them go; each tensor is read to it and converted there.
        dtype: of all of them. The LoRA is added in float32 whatever it is.

    Raises:
        InputError: files are missing, damaged or of other networks.
    """
    check_weights(paths)
    nets, device = net_files(paths), torch.device(device)
    layers = _read_lora(paths, nets["unet"], device)
    with _Loading(device, dtype) as loading:
        # Files are read while networks are built.
        unet_tensors = loading.start(nets["unet"], _adding(layers))
        brushnet_tensors, vae_tensors = loading.start(nets["brushnet"]), loading.start(nets["vae"])
        unet = loading.finish(lambda: MotionUNet(_sizes(nets["unet"])), unet_tensors)
        brushnet = loading.finish(lambda: BrushNet(_sizes(nets["brushnet"])), brushnet_tensors)
        vae = loading.finish(lambda: Autoencoder(AutoencoderConfig.from_published(nets["vae"].config())), vae_tensors)
    for name in ("unet", "brushnet", "vae"):
        note_load(name)
    return EraserModels(brushnet, unet, vae)


def load_text_encoder(paths: WeightPaths, device: torch.device | str, dtype: torch.dtype) -> TextEncoder:
    """The tokenizer and the text model of the base model's folder.

    Raises:
        InputError: files are missing, damaged or of other networks.
    """
    check_weights(paths)
    files = net_files(paths)["text_encoder"]
    with _Loading(torch.device(device), dtype) as loading:
        config = TextConfig.from_published(files.config())
        model = loading.finish(lambda: TextModel(config), loading.start(files))
    note_load("text_encoder")
    return TextEncoder(ClipTokenizer(paths.base_model / "tokenizer"), model)


class _Loading:
    """Threads that read tensors; what they have not begun is dropped when something fails."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._pool = ThreadPoolExecutor(min(READERS, os.cpu_count() or 1))
        self._open: list[Any] = []

    def __enter__(self) -> "_Loading":
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(cancel_futures=exception[0] is not None)
        for reader in self._open:
            reader.close()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()  # the memory of tensors as they were stored

    def start(self, files: NetFiles, change: Change | None = None) -> dict[str, Future[torch.Tensor]]:
        """Begin to read a network's tensors: by their names in the newest libraries."""
        path, expected = files.weights_path(), files.shapes()
        try:
            reader = open_tensors(path)
        except InputError as error:
            raise files.again(error) from error
        self._open.append(reader)
        files.check_tensors(path, reader.shapes, expected)

        def read(stored_name: str) -> torch.Tensor:
            tensor = reader.read(stored_name, self._device)
            return (change(stored_name, tensor) if change else tensor).to(self._dtype)

        names = {plain_name(name): name for name in reader.shapes}
        return {name: self._pool.submit(read, names[name]) for name in expected if name in names}

    def finish(self, build: Callable[[], _Net], tensors: Mapping[str, Future[torch.Tensor]]) -> _Net:
        """The network with its tensors, ready for inference."""
        with torch.device("meta"), _Unfilled():
            net = build()
        net.load_state_dict({name: tensor.result() for name, tensor in tensors.items()}, strict=False, assign=True)
        for module in net.modules():
            if isinstance(table := getattr(module, "pe", None), torch.Tensor):  # computed where the file has none
                module.pe = table.to(self._device, self._dtype)
        return net.eval().requires_grad_(False)


class _Unfilled(TorchFunctionMode):
    """Weights stay as they are allocated: filling them, if only on the meta device, makes torch load its compiler."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", None) in _FILLING:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _read_lora(paths: WeightPaths, unet: NetFiles, device: torch.device) -> dict[str, LoraLayer]:
    path = pcm_file(paths)
    with SafeTensors(path) as file, ThreadPoolExecutor(READERS) as pool:
        cpu = torch.device("cpu")
        tensors = pool.map(lambda name: file.read(name, cpu if name.endswith("alpha") else device), file.shapes)
        return lora_layers(dict(zip(file.shapes, tensors, strict=True)), lora_targets(unet.shapes()))


def _adding(layers: Mapping[str, LoraLayer]) -> Change:
    def add(name: str, tensor: torch.Tensor) -> torch.Tensor:
        layer = layers.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
        return layer.added_to(tensor) if layer else tensor

    return add


def _sizes(files: NetFiles) -> NetConfig:
    return NetConfig.from_published(files.config())
