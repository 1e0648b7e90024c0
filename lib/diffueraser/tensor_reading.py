"""Tensors of a weight file, read straight to their device."""

import os
import pickle
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

import torch

from lib.errors import InputError
from lib.tensor_file import StoredTensor, read_header

CHUNK = 16 * 1024 * 1024  # bytes on their way to a GPU at a time and thread
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
}
_threads = threading.local()


class TensorReader(Protocol):
    """An open weight file; may be read by several threads at a time."""

    shapes: dict[str, tuple[int, ...]]  # of its tensors, by name

    def read(self, name: str, device: torch.device) -> torch.Tensor:
        """One tensor as it is stored."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


def open_tensors(path: Path) -> TensorReader:
    """A file of weights, .safetensors or .bin.

    Raises:
        InputError: it is something else, not whole, or holds more than tensors.
    """
    return PickledTensors(path) if path.suffix == ".bin" else SafeTensors(path)


class SafeTensors:
    """A .safetensors file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = read_header(path)
        self.shapes: dict[str, tuple[int, ...]] = {name: place.shape for name, place in self._places.items()}
        self._file = os.open(path, os.O_RDONLY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def place(self, name: str) -> StoredTensor:
        """Type, shape and extent of a tensor."""
        return self._places[name]

    def read(self, name: str, device: torch.device) -> torch.Tensor:
        """One tensor as it is stored.

        Raises:
            InputError: the file has become shorter since it was opened.
        """
        place = self._places[name]
        content = torch.empty(place.stop - place.start, dtype=torch.uint8, device=device)
        if device.type == "cuda":
            self._read_through_pinned_memory(content, place.start)
        else:
            self._read_into(content, place.start)
        return content.view(_TYPES[place.dtype]).reshape(place.shape)

    def close(self) -> None:
        os.close(self._file)

    def _read_through_pinned_memory(self, content: torch.Tensor, start: int) -> None:
        """Other threads read while this one copies, which keeps the link to the device busy."""
        staging = _staging_buffer()
        for offset in range(0, len(content), CHUNK):
            part = content[offset : offset + CHUNK]
            staged = staging[: len(part)]
            self._read_into(staged, start + offset)
            part.copy_(staged, non_blocking=True)
            torch.cuda.current_stream(content.device).record_event().synchronize()

    def _read_into(self, content: torch.Tensor, start: int) -> None:
        view = memoryview(content.numpy())  # type: ignore[arg-type]  # arrays are buffers
        done = 0
        while done < len(view):
            count = os.preadv(self._file, [view[done:]], start + done)
            if count == 0:
                raise InputError(f"{self._path}: ends before byte {start + len(view):,}; it changed while it was read")
            done += count


class PickledTensors:
    """A .bin file; nothing but tensors is unpickled."""

    def __init__(self, path: Path) -> None:
        try:
            # Old files are no zip archives, and only archives can be mapped instead of read.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: cannot be read as a checkpoint ({reason})") from error
        if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
            raise InputError(f"{path}: holds {type(content).__name__}, not a dictionary of tensors")
        self._content = content
        self.shapes: dict[str, tuple[int, ...]] = {name: tuple(tensor.shape) for name, tensor in content.items()}

    def read(self, name: str, device: torch.device) -> torch.Tensor:
        """One tensor as it is stored."""
        # Its own memory: what is mapped would change with the file.
        return self._content[name].to(device, copy=True)

    def close(self) -> None:
        self._content = {}


def _staging_buffer() -> torch.Tensor:
    """This thread's pinned memory."""
    if not hasattr(_threads, "staging"):
        _threads.staging = torch.empty(CHUNK, dtype=torch.uint8, pin_memory=True)
    return _threads.staging
