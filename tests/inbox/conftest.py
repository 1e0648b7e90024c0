"""An inbox of real files whose last change lies as far back as a test wants."""

import os
from pathlib import Path

import pytest
from inbox_clock import Clock

from lib.inbox.ledger import Ledger
from lib.inbox.scan import InboxScan, scan_inbox
from lib.settings.inbox import Inbox


class InboxFolder:
    """Files are as old as the clock is ahead: an hour, unless a test says otherwise."""

    def __init__(self, root: Path) -> None:
        self.inbox, self.outbox = root / "inbox", root / "outbox"
        self.inbox.mkdir()
        self.outbox.mkdir()
        self.ledger = Ledger(self.outbox)

    def write(self, path: str, content: bytes = b"content") -> Path:
        file = self.inbox / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def add(self, name: str) -> None:
        self.write(f"{name}/video.mp4")
        self.write(f"{name}/mask/00000.png")

    def touch(self, path: str, seconds: int) -> None:
        os.utime(self.inbox / path, (seconds, seconds))

    def scan(self, clock: Clock | None = None, *, wait: bool = True, **settings: object) -> InboxScan:
        clock = clock or Clock(ahead=3600)
        values = {"inbox": self.inbox, "outbox": self.outbox, **settings}
        return scan_inbox(Inbox.model_validate(values), self.ledger, wait=wait, now=clock.now, sleep=clock.sleep)

    def ready(self, **settings: object) -> dict[str, str]:
        """Name -> why."""
        return {item.name: item.why for item in self.scan(**settings).ready}

    def left(self, clock: Clock | None = None, **settings: object) -> dict[str, tuple[str, str]]:
        """Name -> kind and reason."""
        return {item.name: (item.kind, item.reason) for item in self.scan(clock, **settings).left}

    def take_all(self) -> dict[str, str]:
        """Take what is ready, as a run does; name -> path of its result."""
        taken = {item.name: item.identity for item in self.scan().ready}
        self.ledger.take(taken, "a run")
        return {name: f"final/{name}/propagation.mp4" for name in taken}

    def finish_all(self) -> None:
        results = self.take_all()
        for result in results.values():
            (self.outbox / result).parent.mkdir(parents=True, exist_ok=True)
            (self.outbox / result).write_bytes(b"result")
        self.ledger.settle(results, {})

    def fail_all(self, reason: str = "no hole") -> None:
        self.ledger.settle({}, dict.fromkeys(self.take_all(), reason))


@pytest.fixture
def box(tmp_path: Path) -> InboxFolder:
    return InboxFolder(tmp_path)
