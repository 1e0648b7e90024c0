"""A copy of the published weights in half precision: half the bytes to read before a run on a GPU."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch

from lib.diffueraser.net_files import NetFiles, plain_name
from lib.diffueraser.tensor_reading import TensorReader, open_tensors
from lib.diffueraser.weight_files import TOKENIZER_FILES, WeightPaths, check_weights, net_files
from lib.errors import InputError

_CPU = torch.device("cpu")
_ALIGNMENT = 8  # of the header, as the format recommends
Shape = tuple[int, ...]


def write_half_copy(paths: WeightPaths, folder: Path) -> WeightPaths:
    """Copy text encoder, tokenizer, VAE, BrushNet and UNet into `folder`, weights as float16.

    The layout is the published one. A file appears under its name only when it is complete; what is there already is
    replaced. Tensors pass through memory one by one. The LoRA stays where it is: it is added at load, in float32.

    Returns:
        Paths that load like the originals.

    Raises:
        InputError: weights are missing or damaged, or do not fit into half precision.
    """
    check_weights(paths)
    copy = WeightPaths(
        base_model=folder / "stable-diffusion-v1-5",
        vae=folder / "sd-vae-ft-mse",
        diffueraser=folder / "diffuEraser",
        pcm=paths.pcm,
        pcm_steps=paths.pcm_steps,
    )
    for file in sorted((paths.base_model / "tokenizer").iterdir()):
        if file.name in TOKENIZER_FILES or file.suffix == ".json":
            _copy_file(file, copy.base_model / "tokenizer" / file.name)
    for name, files in net_files(paths).items():
        _copy_net(files, net_files(copy)[name].folder)
    return copy


def _copy_net(files: NetFiles, folder: Path) -> None:
    source = files.weights_path()
    if folder.resolve() == files.folder.resolve():
        raise InputError(f"{source}: a copy here would replace the weights themselves; choose another folder")
    _copy_file(files.config_path, folder / "config.json")
    name = "model.safetensors" if files.name == "text_encoder" else "diffusion_pytorch_model.safetensors"
    try:
        reader = open_tensors(source)
    except InputError as error:
        raise files.again(error) from error
    try:
        expected = files.shapes()
        files.check_tensors(source, reader.shapes, expected)
        with _appearing(folder / name) as file:
            _write_halves(file, reader, [name for name in reader.shapes if plain_name(name) in expected])
    except OverflowError as error:
        raise InputError(f"{source}: {error}; it cannot be halved") from error
    finally:
        reader.close()


def _write_halves(file: BinaryIO, reader: TensorReader, names: Sequence[str]) -> None:
    """Raises OverflowError: a number is too large for half precision."""
    file.write(_header({name: reader.shapes[name] for name in names}))
    for name in names:
        half = reader.read(name, _CPU).to(torch.float16)
        if half.isinf().any():
            raise OverflowError(f"{name} holds numbers above {torch.finfo(torch.float16).max:.0f}")
        file.write(half.contiguous().numpy().tobytes())


def _header(shapes: Mapping[str, Shape]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * prod(shape)
        entries[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _copy_file(source: Path, target: Path) -> None:
    with _appearing(target) as file, source.open("rb") as content:
        shutil.copyfileobj(content, file)


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name when it is complete; nothing is left of it when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
