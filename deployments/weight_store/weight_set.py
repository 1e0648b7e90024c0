"""A folder of published weights: which files it needs, and under which licence they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lib.errors import InputError

_BIG = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf")


@dataclass(frozen=True)
class WeightSet:
    """One folder of weights.

    Of each entry of `weights` the first file that the source has is taken: one format, full precision before half,
    in the order in which the engines look for them.
    """

    name: str  # as --sets takes it
    folder: str  # below the folder of all weights
    repository: str  # on the hub; "" for files on the web
    licence: str
    page: str  # where its text is
    required: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()  # patterns of small files, taken if they are there
    weights: tuple[tuple[str, ...], ...] = ()
    whole: bool = False  # every file, in one weight format
    urls: tuple[tuple[str, str], ...] = ()  # of files on the web: name here, address
    for_metrics: bool = False  # no engine needs it
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


def _all_in_one_format(names: Collection[str]) -> set[str]:
    """Every file but hidden ones, and of weights only .safetensors, or .bin where there are none."""
    visible = [name for name in names if not any(part.startswith(".") for part in PurePosixPath(name).parts)]
    suffix = ".safetensors" if any(name.endswith(".safetensors") for name in visible) else ".bin"
    small = [name for name in visible if not name.endswith((*_BIG, *(f"{big}.index.json" for big in _BIG)))]
    return {*small, *(name for name in visible if name.endswith((suffix, f"{suffix}.index.json")))}
