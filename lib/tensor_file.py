"""Weight files from outside: what a .safetensors file holds is read from its header; nothing here imports torch."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lib.errors import InputError

_LENGTH_BYTES = 8
_MAX_HEADER = 100_000_000  # the format's own limit
_POINTER = b"version https://git-lfs"
BYTES_OF = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4}  # the types that weights come in


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in its file."""

    dtype: str  # as the format calls it: F32, F16, BF16 ..
    shape: tuple[int, ...]
    start: int  # bytes from the file's beginning
    stop: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a .safetensors file by name; reads its first bytes only.

    Raises:
        InputError: the file is something else, or not whole.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH_BYTES or not 1 < length <= _MAX_HEADER:
            raise InputError(f"{path}: {_what_it_is(path, size)}, not a .safetensors file")
        if _LENGTH_BYTES + length > size:
            raise InputError(f"{path}: {_what_it_is(path, size)}, not a whole .safetensors file")
        header = file.read(length)
    try:
        content = json.loads(header)
        content.pop("__metadata__", None)
        first = _LENGTH_BYTES + length
        tensors = {name: _stored(entry, first) for name, entry in content.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: {_what_it_is(path, size)}, not a .safetensors file") from error
    expected = max((tensor.stop for tensor in tensors.values()), default=0)
    if expected > size:
        raise InputError(f"{path}: {size:,} of {expected:,} bytes: the download is incomplete")
    if odd := sorted({f"{tensor.dtype}" for tensor in tensors.values()} - set(BYTES_OF)):
        raise InputError(f"{path}: holds numbers of type {', '.join(odd)}; expected F32, F16 or BF16")
    _check_extents(path, tensors)
    return tensors


def check_pickled(path: Path) -> None:
    """See that what torch saved is a whole zip archive, or a pickle of an old torch; only torch can tell what it holds.

    Raises:
        InputError: it is something else, or not whole.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK" and not zipfile.is_zipfile(path):
        raise InputError(f"{path}: {size:,} bytes without their end: the download is incomplete")
    if start[:1] != b"\x80" and start != b"PK":
        raise InputError(f"{path}: {_what_it_is(path, size)}, not a checkpoint")


def read_json(path: Path) -> dict:
    """The object in a JSON file.

    Raises:
        InputError: there is none in it.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:  # text that is no JSON, or no text at all
        raise InputError(f"{path}: {_what_it_is(path, path.stat().st_size)}, not JSON") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a JSON {type(content).__name__}; expected an object")
    return content


def check_by_suffix(path: Path, suffix: str) -> None:
    """See that a file of weights or settings is what its name says, as far as its ends tell.

    Args:
        path: the file, which may still have another name.
        suffix: of the name that it has or will have; of others than .safetensors, .bin, .pt, .pth and .json nothing
            can be told.

    Raises:
        InputError: it is something else, or not whole.
    """
    if look := _LOOKS.get(suffix):
        look(path)


def _stored(entry: dict, first: int) -> StoredTensor:
    start, stop = entry["data_offsets"]
    return StoredTensor(str(entry["dtype"]), tuple(map(int, entry["shape"])), first + int(start), first + int(stop))


def _check_extents(path: Path, tensors: dict[str, StoredTensor]) -> None:
    """A header is only as good as whoever wrote it: sizes must be those of the shapes."""
    for name, tensor in tensors.items():
        count = BYTES_OF[tensor.dtype]
        for side in tensor.shape:
            count *= side
        if min(tensor.shape, default=0) < 0 or tensor.stop - tensor.start != count:
            raise InputError(f"{path}: {name} {tensor.shape} has {tensor.stop - tensor.start} bytes instead of {count}")


def _what_it_is(path: Path, size: int) -> str:
    """What lies where weights should be: most often an empty file, a git-lfs pointer or a web page."""
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if size == 0:
        return "an empty file"
    if start.startswith(_POINTER):
        return "a git-lfs pointer (`git lfs pull` fetches the file itself)"
    if start[:1] == b"<":
        return "a web page"
    return f"{size:,} bytes of something else or cut short"


def _check_safetensors(path: Path) -> None:
    if not read_header(path):
        raise InputError(f"{path}: holds no tensor, not a .safetensors file of weights")


_LOOKS = {
    ".safetensors": _check_safetensors,
    ".bin": check_pickled,
    ".pt": check_pickled,
    ".pth": check_pickled,
    ".json": read_json,
}
