"""One network's folder: a config, and one file of weights in any of the published forms; nothing here imports torch."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lib.diffueraser.config import NetConfig
from lib.diffueraser.lora_names import listed
from lib.diffueraser.tensor_shapes import Shapes, brushnet_shapes, text_encoder_shapes, unet_shapes, vae_shapes
from lib.diffueraser.text_config import TextConfig
from lib.errors import InputError
from lib.tensor_file import check_pickled, read_header, read_json

_SHAPES: dict[str, Callable[[Mapping[str, Any]], Shapes]] = {
    "text_encoder": lambda content: text_encoder_shapes(asdict(TextConfig.from_published(content))),
    "vae": vae_shapes,
    "brushnet": lambda content: brushnet_shapes(NetConfig.from_published(content)),
    "unet": lambda content: unet_shapes(NetConfig.from_published(content)),
}
_KINDS = {
    "text_encoder": "a CLIP text encoder",
    "vae": "a VAE",
    "brushnet": "a BrushNet",
    "unet": "a UNet with motion modules",
}
# What a file holds, by a part of some name in it; the first that fits.
_MARKS = {
    "lora_": "a LoRA",
    "motion_modules": _KINDS["unet"],
    "brushnet_": _KINDS["brushnet"],
    ".self_attn.": _KINDS["text_encoder"],
    "post_quant_conv": _KINDS["vae"],
    "time_embedding": "a UNet without motion modules",
}
_NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_TEXT_ENCODER_NAMES = ("model.safetensors", "pytorch_model.bin")
_NOT_USED = re.compile(r".*position_ids|text_projection\.weight")
_MAY_BE_MISSING = re.compile(r".*\.pos_embed\.pe")  # sinusoids, which can be computed
_OLD_ATTENTION = re.compile(r"(?<=\.attentions\.\d\.)(query|key|value|proj_attn)(?=\.)")
_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class NetFiles:
    """A network's folder as published."""

    name: str  # text_encoder, vae, brushnet or unet
    folder: Path
    source: str  # where to get it

    @property
    def config_path(self) -> Path:
        return self.folder / "config.json"

    def weights_path(self) -> Path:
        """The file with the weights: .safetensors before .bin, full precision before half.

        Raises:
            InputError: there is none.
        """
        names = _TEXT_ENCODER_NAMES if self.name == "text_encoder" else _NAMES
        for name in names:
            for candidate in (name, _half(name)):
                if (self.folder / candidate).is_file():
                    return self.folder / candidate
        raise InputError(f"{self.folder}: no {' or '.join(names)}; get it from {self.source}")

    def config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            InputError: it is missing or broken.
        """
        if not self.config_path.is_file():
            raise InputError(f"{self.config_path}: no such file; get it from {self.source}")
        try:
            return read_json(self.config_path)
        except InputError as error:
            raise self.again(error) from error

    def shapes(self) -> Shapes:
        """What the weights must hold.

        Raises:
            InputError: the config is missing, broken or another kind of network's.
        """
        content = self.config()
        try:
            return _SHAPES[self.name](content)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise self.again(f"{self.config_path}: not the config of {_KINDS[self.name]} ({reason})") from error

    def check_file(self) -> None:
        """See that the weights are there, whole, and those of the config; of .bin only that it looks whole.

        Raises:
            InputError: they are not. A broken config is left to `shapes`.
        """
        path = self.weights_path()
        try:
            if path.suffix == ".bin":
                return check_pickled(path)
            found = {name: tensor.shape for name, tensor in read_header(path).items()}
        except InputError as error:
            raise self.again(error) from error
        try:
            expected = self.shapes()
        except InputError:
            return None
        return self.check_tensors(path, found, expected)

    def check_tensors(self, path: Path, found: Mapping[str, tuple[int, ...]], expected: Shapes) -> None:
        """See that these are the network's tensors. found: shapes by name, as the file has them.

        Raises:
            InputError: some are missing, unexpected or of another shape.
        """
        if (kind := _kind(found)) != _KINDS[self.name]:
            raise InputError(f"{path}: holds {kind}; expected {_KINDS[self.name]}; get it from {self.source}")
        plain = {plain_name(name): shape for name, shape in found.items()}
        said = {
            "missing": [name for name in expected if name not in plain and not _MAY_BE_MISSING.fullmatch(name)],
            "unexpected": [name for name in plain if name not in expected and not _NOT_USED.fullmatch(name)],
            "of another shape": [
                f"{name} {plain[name]} instead of {shape}"
                for name, shape in expected.items()
                if name in plain and plain[name] != shape
            ],
        }
        if sentences := [f"{listed(names)} {what}" for what, names in said.items() if names]:
            raise self.again(f"{path}: not the weights of its config.json: {'; '.join(sentences)}")

    def again(self, error: object) -> InputError:
        """An error with the advice to get the files again."""
        return InputError(f"{error}; get it again from {self.source}")


def plain_name(name: str) -> str:
    """A tensor's name in the newest libraries: without `text_model.` in front, attention's layers as to_q .. to_out."""
    return _OLD_ATTENTION.sub(lambda found: _ATTENTION[found[0]], name.removeprefix("text_model."))


def _kind(names: Iterable[str]) -> str:
    names = list(names)
    return next((kind for mark, kind in _MARKS.items() if any(mark in name for name in names)), "something else")


def _half(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.fp16.{suffix}"
