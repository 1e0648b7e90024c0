"""Which module each tensor of a LoRA belongs to; nothing here imports torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from lib.diffueraser.tensor_shapes import LORA_PREFIX
from lib.errors import InputError

_PARTS = ("lora_down.weight", "lora_up.weight", "alpha")
_LISTED = 3
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LoraNames:
    """What a file has for one module: names of tensors."""

    module: str  # path in the network
    down: str
    up: str
    alpha: str | None  # missing: the product counts as it is


def match_lora(found: Mapping[str, Shape], targets: Mapping[str, Shape]) -> list[LoraNames]:
    """The file's tensors by module.

    Args:
        found: names and shapes of the file's tensors, in kohya's naming: the path with underscores for dots.
        targets: paths of the modules that could be meant, and shapes of their weights.

    Raises:
        InputError: a tensor belongs to no module, lacks its counterpart or does not fit the module's weight.
    """
    modules = {LORA_PREFIX + module.replace(".", "_"): module for module in targets}
    if strangers := [name for name in found if _split(name)[0] not in modules or _split(name)[1] not in _PARTS]:
        raise InputError(f"{listed(strangers)} belong to no module of the UNet that a LoRA in kohya's naming changes")
    stems = list(dict.fromkeys(_split(name)[0] for name in found))
    if not stems:
        raise InputError("no tensors")
    return [_match_module(stem, modules[stem], found, targets[modules[stem]]) for stem in stems]


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _match_module(stem: str, module: str, found: Mapping[str, Shape], weight: Shape) -> LoraNames:
    down, up, alpha = (f"{stem}.{part}" for part in _PARTS)
    if missing := [name for name in (down, up) if name not in found]:
        raise InputError(f"{missing[0]} missing")
    rank = found[down][0] if found[down] else 0
    fits = (
        len(found[down]) > 1
        and found[up][:2] == (weight[0], rank)
        and prod(found[down][1:]) == prod(weight[1:])
        and prod(found[up][2:]) == 1
    )
    if not fits:
        raise InputError(f"{down} {found[down]} and {up} {found[up]} do not fit {module}.weight {weight}")
    return LoraNames(module, down, up, alpha if alpha in found else None)


def _split(name: str) -> tuple[str, str]:
    stem, _, part = name.partition(".")
    return stem, part
