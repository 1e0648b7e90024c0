"""Writing a clip while its frames are still being made."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import numpy as np

from lib.video.writer import write_clip

Finish = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


class _CancelledError(Exception):
    """The frames that were still to come will not."""


class BackgroundWriter:
    """Writes an mp4 in a thread of its own. Leaving the block by an error leaves no file.

    with BackgroundWriter(path, fps, finish) as writer:
        writer.put(frames)
    writer.notes
    """

    def __init__(self, path: Path, fps: Fraction, finish: Finish, *, audio_from: Path | None = None) -> None:
        """finish: makes of the frames that were put those that are written, in the thread; otherwise `write_clip`."""
        self._queue: SimpleQueue[np.ndarray | _CancelledError | None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(1)
        frames = finish(self._frames())
        self._written = self._pool.submit(write_clip, path, frames, fps, audio_from=audio_from)
        self.notes: tuple[str, ...] = ()

    def put(self, frames: np.ndarray) -> None:
        """The next frames, (n, H, W, 3); they must not change any more."""
        self._queue.put(frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """Wait until the file is there.

        Raises:
            OSError, ValueError: it could not be written.
        """
        self._queue.put(_CancelledError() if kind else None)
        try:
            self.notes = self._written.result()
        except _CancelledError:
            pass
        finally:
            self._pool.shutdown()

    def _frames(self) -> Iterator[np.ndarray]:
        while (frames := self._queue.get()) is not None:
            if isinstance(frames, _CancelledError):
                raise frames
            yield from frames
