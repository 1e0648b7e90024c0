"""Writing a clip while its frames are still being made."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from lib.notes import Note
from lib.video.presentation import Presentation
from lib.video.writer import Picture, write_clip

Finish = Callable[[Iterable[np.ndarray]], Iterator[Picture]]


class _CancelledError(Exception):
    """The frames that were still to come will not."""


class BackgroundWriter:
    """Writes an mp4 in a thread of its own; a block that is left before `complete` leaves no file.

    with BackgroundWriter(path, shown, finish) as writer:
        writer.put(frames)
        notes = writer.complete()
    """

    def __init__(self, path: Path, shown: Presentation, finish: Finish, **options: Any) -> None:
        """finish: makes of the frames that were put those that are written, in the thread; otherwise `write_clip`."""
        self._queue: SimpleQueue[np.ndarray | _CancelledError | None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(1)
        frames = finish(self._frames())
        self._written = self._pool.submit(write_clip, path, frames, shown, **options)
        self.path = path

    def put(self, frames: np.ndarray) -> None:
        """The next frames, (n, H, W, 3); they must not change any more."""
        self._queue.put(frames)

    def complete(self) -> tuple[Note, ...]:
        """After the last frame: wait until the file is there; notes for the user.

        Raises:
            OSError, ValueError: it could not be written.
        """
        self._queue.put(None)
        return self._written.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._queue.put(_CancelledError())
        self._pool.shutdown()

    def _frames(self) -> Iterator[np.ndarray]:
        while (frames := self._queue.get()) is not None:
            if isinstance(frames, _CancelledError):
                raise frames
            yield from frames
