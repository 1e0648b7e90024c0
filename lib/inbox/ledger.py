"""What has become of each video of an inbox, so that nothing is done twice: one JSON file in the outbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lib.errors import InputError
from lib.provenance import write_json
from lib.runtime.file_lock import try_lock

_FILE = Path(".prefect", "inbox.json")
_LOCK = Path(".prefect", "inbox.lock")


class LedgerBusyError(RuntimeError):
    """Another run works on the same outbox; the message names it."""


class Entry(BaseModel):
    """What is known of one video."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: str  # of the files that were taken
    status: Literal["taken", "done", "failed"]  # taken: a run has begun, and was killed if none is at work
    attempts: int = 0  # runs in which these files failed
    run: str = ""  # the last one
    reason: str = ""  # why it failed
    result: str = ""  # path of the result, relative to the outbox


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    videos: dict[str, Entry] = {}


class Ledger:
    """The entries by video name; every change is on disk before the call returns."""

    def __init__(self, outbox: Path) -> None:
        self.outbox, self.path = outbox, outbox / _FILE
        self._videos = _read(self.path)

    def entry(self, name: str) -> Entry | None:
        return self._videos.get(name)

    def has_result(self, entry: Entry) -> bool:
        """Whether the video is done and its result is still where it was written."""
        return entry.status == "done" and bool(entry.result) and (self.outbox / entry.result).is_file()

    def take(self, identities: Mapping[str, str], run: str) -> None:
        """Note that a run begins on these videos; attempts at the same files are kept."""
        taken = {}
        for name, identity in identities.items():
            known = self.entry(name)
            attempts = known.attempts if known and known.identity == identity else 0
            taken[name] = Entry(identity=identity, status="taken", attempts=attempts, run=run)
        self._update(taken)

    def settle(self, results: Mapping[str, str], failures: Mapping[str, str]) -> None:
        """Note how videos that were taken have ended.

        Args:
            results: paths of the results relative to the outbox, by video.
            failures: reasons by video.
        """
        ended = {}
        for name, result in results.items():
            ended[name] = self._videos[name].model_copy(update={"status": "done", "attempts": 0, "result": result})
        for name, reason in failures.items():
            attempts = self._videos[name].attempts + 1
            update = {"status": "failed", "attempts": attempts, "reason": reason}
            ended[name] = self._videos[name].model_copy(update=update)
        self._update(ended)

    def _update(self, entries: Mapping[str, Entry]) -> None:
        self._videos = {**self._videos, **entries}
        write_json(self.path, _Content(videos=self._videos).model_dump(mode="json"))


@contextmanager
def open_ledger(outbox: Path, run: str) -> Iterator[Ledger]:
    """The ledger for one run alone, however that ends.

    Args:
        run: told to whoever asks for it meanwhile.

    Raises:
        LedgerBusyError: another run has it.
        InputError: the file cannot be understood, or the outbox is another user's.
    """
    try:
        lock = try_lock(outbox / _LOCK)
    except OSError as error:
        raise InputError(
            f"{error.filename or outbox / _LOCK}: cannot be locked ({error.strerror}); work as the user whose outbox "
            "this is, or give another --outbox"
        ) from None
    if lock is None:
        holder = (outbox / _LOCK).read_text(errors="replace").strip() or "unknown"
        raise LedgerBusyError(f"{outbox}: another run is at work on it ({holder})")
    with lock:
        lock.write(run)
        yield Ledger(outbox)


def _read(path: Path) -> dict[str, Entry]:
    try:
        return _Content.model_validate_json(path.read_bytes()).videos
    except FileNotFoundError:
        return {}
    except (ValidationError, OSError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InputError(
            f"{path}: cannot be read ({said}); expected what an earlier run wrote: mend it, or delete it: then every "
            "video of the inbox is looked at again, and what is cached is not computed again"
        ) from None
