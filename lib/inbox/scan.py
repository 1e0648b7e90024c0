"""What of an inbox is to be done now, and why the rest is not.

Whoever puts videos into an inbox need not have the rights of whoever works on them: links that lead out of the inbox
are not followed, unless that is asked for. This rule is the inbox's own; where a person names folders (a data set of
auto_refine.py), links are followed wherever they lead.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib.inbox.ledger import Entry, Ledger
from lib.inbox.listing import Listing, list_files
from lib.settings.inbox import Inbox
from lib.video.datasets import Unmatched, Video, inbox_folders, inbox_video
from lib.video.entries import look_at, printable
from lib.video.images import list_folder
from lib.video.suffixes import VIDEO_SUFFIXES, suffix_of, unsupported_kind

_NANO = 1_000_000_000
LeftKind = Literal["still being copied", "incomplete", "linked outside", "given up", "for another night"]


@dataclass(frozen=True)
class Ready:
    """A whole video that is to be done."""

    name: str
    identity: str
    why: str  # new, changed, …
    attempts: int  # runs in which these files failed before
    newest: int  # change of its files, nanoseconds since the epoch


@dataclass(frozen=True)
class Left:
    """A video, or something else in the inbox, that is left alone for now."""

    name: str
    kind: LeftKind
    reason: str

    def __post_init__(self) -> None:
        for text in ("name", "reason"):
            object.__setattr__(self, text, printable(getattr(self, text)))


@dataclass(frozen=True)
class Done:
    """A video whose result is there and whose files have not changed since."""

    name: str


Find = Ready | Left | Done


@dataclass(frozen=True)
class InboxScan:
    """Everything that lies in an inbox."""

    ready: tuple[Ready, ...]  # in the order in which they shall be done
    left: tuple[Left, ...]
    done: tuple[str, ...]

    def text(self) -> str:
        """Counts of what is not to be done: `3 still being copied, 1 incomplete, 7 done before`."""
        counts = Counter(item.kind for item in self.left)
        parts = [f"{count} {kind}" for kind, count in sorted(counts.items())]
        parts += [f"{len(self.done)} done before"] if self.done else []
        return ", ".join(parts) or "the inbox is empty"


def scan_inbox(
    settings: Inbox,
    ledger: Ledger,
    *,
    wait: bool = True,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> InboxScan:
    """Look into the inbox; where something has only just changed, look again when it may have settled.

    Only names, sizes and times are looked at, and without `follow_links` nothing outside the inbox. A video is whole if
    its last change lies `settle_seconds` back, or if two looks so far apart are alike: a file server's clock may differ
    from this one's.

    Args:
        wait: whether to wait for the second look, `settle_seconds` at most.
        now: the time, seconds since the epoch.

    Raises:
        InputError: the inbox is missing or cannot be read.
    """
    looker, began = _Looker(settings, ledger, now), now()
    looks = [_Look.at(folder, looker.within) for folder in inbox_folders(settings.inbox)]
    finds = {look.name: looker.judge(look, began) for look in looks}
    recent = [look for look in looks if finds[look.name] is None]
    if recent and wait:
        finds |= looker.look_again(recent, began, sleep)
    finds = {name: looker.check_links(find) for name, find in finds.items()}
    young = f"changed within the last {settings.settle_seconds:g} seconds"
    left = [Left(name, "still being copied", young) for name, find in finds.items() if find is None]
    return _sorted_out([*filter(None, finds.values()), *left, *_strays(settings.inbox)], settings.max_videos)


@dataclass(frozen=True)
class _Look:
    """A folder as it was at one moment."""

    folder: Path
    video: Video | Unmatched
    listing: Listing

    @classmethod
    def at(cls, folder: Path, within: Path | None) -> "_Look":
        """Look at a folder.

        Args:
            within: see `list_files`.
        """
        listing = list_files(folder, within)
        outside = Unmatched(folder.name, _link_reason(listing.outside)) if listing.outside else None
        return cls(folder, outside or inbox_video(folder), listing)

    @property
    def name(self) -> str:
        return self.folder.name

    def age(self, at: float) -> float:
        """Seconds from the last change to `at`; negative if a file server's clock is ahead."""
        return at - self.listing.newest / _NANO

    @property
    def identity(self) -> str:
        if isinstance(self.video, Unmatched):
            return ""
        return self.listing.identity(self.video.video_path.name, self.video.mask_path.name)

    @property
    def half_copied(self) -> str:
        """What is certainly not whole yet, or nothing."""
        if self.listing.partial:
            return f"{self.listing.partial} is a half copy by its name; delete it if nothing is writing it any more"
        if self.listing.broken:
            return f"{self.listing.broken} cannot be looked at (a link to nothing, or no right to read it)"
        return f"{self.listing.empty} has no bytes" if self.listing.empty else ""

    @property
    def problem(self) -> str:
        """Why this is no video with its masks, or nothing."""
        if isinstance(self.video, Unmatched):
            return self.video.reason
        for path in (self.video.video_path, self.video.mask_path):
            if not any(Path(file.name).parts[0] == path.name for file in self.listing.files):
                return f"{path.name} is an empty folder"
        return ""


class _Looker:
    def __init__(self, settings: Inbox, ledger: Ledger, now: Callable[[], float]) -> None:
        self.settings, self.ledger, self.now = settings, ledger, now
        self.within = None if settings.follow_links else Path(os.path.realpath(settings.inbox))

    def judge(self, look: _Look, at: float, *, settled: bool = False) -> Find | None:
        """What to do with a video; None: it has only just changed.

        Args:
            at: when the look began, seconds since the epoch.
            settled: whether it is known to change no more.
        """
        entry = self.ledger.entry(look.name)
        if entry and entry.identity == look.identity and self.ledger.has_result(entry):
            return Done(look.name)
        if look.listing.outside:
            return Left(look.name, "linked outside", _link_reason(look.listing.outside))
        if look.half_copied:
            return Left(look.name, "still being copied", look.half_copied)
        if problem := look.problem:
            return Left(look.name, "incomplete", problem)
        if not settled and look.age(at) < self.settings.settle_seconds:
            return None
        return self._whole(look, entry)

    def look_again(self, looks: Sequence[_Look], at: float, sleep: Callable[[float], None]) -> dict[str, Find | None]:
        """Judge once more when all of them may have settled, after `settle_seconds` at most.

        Args:
            at: when these looks were taken, seconds since the epoch.
        """
        settle = self.settings.settle_seconds
        pause = max(min(settle, settle - look.age(at)) for look in looks)
        sleep(pause)
        at, finds = self.now(), {}
        for look in looks:
            again = _Look.at(look.folder, self.within)
            finds[look.name] = self.judge(again, at, settled=again == look and pause >= settle)
        return finds

    def check_links(self, find: Find | None) -> Find | None:
        """The same, unless a link out of the inbox has come since to a video that is about to be taken."""
        if isinstance(find, Ready) and (link := list_files(self.settings.inbox / find.name, self.within).outside):
            return Left(find.name, "linked outside", _link_reason(link))
        return find

    def _whole(self, look: _Look, entry: Entry | None) -> Ready | Left:
        name, identity, attempts, why = look.name, look.identity, 0, "new"
        if entry and entry.identity != identity:
            why = "changed since it was taken"
        elif entry and entry.status == "failed":
            attempts, why = entry.attempts, f"failed before: {entry.reason}"
            if attempts >= self.settings.max_attempts:
                reason = (
                    f"failed {attempts} times, last: {entry.reason}; change or touch its files to have it tried again"
                )
                return Left(name, "given up", reason)
        elif entry:
            attempts = entry.attempts
            why = f"{entry.result} is missing" if entry.status == "done" else "the run that had taken it was ended"
        return Ready(name, identity, why, attempts, look.listing.newest)


def _link_reason(link: str) -> str:
    return f"{link} is a link that leads out of the inbox; put a copy in its place, or allow it with --follow_links"


def _strays(inbox: Path) -> list[Left]:
    """Videos that lie in the inbox itself, and entries that cannot be looked at."""
    left = []
    for look in map(look_at, list_folder(inbox)):
        suffix = suffix_of(look.path)
        if look.kind == "broken" and (suffix in VIDEO_SUFFIXES or not suffix):
            left.append(Left(look.path.name, "incomplete", look.problem))
        elif look.kind == "file" and (suffix in VIDEO_SUFFIXES or unsupported_kind(look.path)):
            reason = "is a file; expected a folder for each video, with video* and mask* in it"
            left.append(Left(look.path.name, "incomplete", reason))
    return left


def _sorted_out(finds: Iterable[Find], most: int) -> InboxScan:
    ready, left, done = [], [], []
    for find in finds:
        if isinstance(find, Ready):
            ready.append(find)
        elif isinstance(find, Left):
            left.append(find)
        else:
            done.append(find.name)
    ready.sort(key=lambda item: (item.attempts, item.newest, item.name))
    now, later = (ready[:most], ready[most:]) if most else (ready, [])
    left += [Left(item.name, "for another night", f"more than {most} videos are ready") for item in later]
    return InboxScan(tuple(now), tuple(sorted(left, key=lambda item: item.name)), tuple(sorted(done)))
