"""Brings sets of weights into their folder: what is missing is fetched, all is verified, the lock says what it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath

from deployments.weight_store.folders import FolderSource
from deployments.weight_store.lock import LOCK_FILE, LockedSet, read_lock, write_lock
from deployments.weight_store.sets import WeightSet
from deployments.weight_store.source import Listing, Offer, Source
from deployments.weight_store.transfer import offline
from lib.errors import InputError
from lib.runtime.fingerprints import fingerprint_weights, sha256_file
from lib.tensor_file import check_by_suffix

GIB = 2**30
_RESERVE = GIB // 2  # that is left free


@dataclass(frozen=True)
class Plan:
    """What one set needs."""

    weights: WeightSet
    source: Source
    revision: str | None
    offers: tuple[Offer, ...]  # all needed files
    todo: tuple[Offer, ...]  # those that are not there as they should be


class Store:
    """The folder of all weights.

    Args:
        folder: as --weights_dir.
        say: takes a line for the terminal.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = print) -> None:
        self.folder = folder
        self.say = say
        self.lock = read_lock(folder)

    def plan(self, weights: WeightSet, source: Source) -> Plan:
        """Find out what is missing; asks the source only for what the lock does not know.

        Raises:
            InputError: the source lacks something, cannot be asked, or is forbidden to be.
        """
        listing, source = self._needed_of(weights, source)
        locked = self._locked(weights)
        names = weights.choose(listing.offers)
        offers = tuple(locked.files.get(name) or listing.offers[name] for name in map(_inside, names))
        todo = tuple(offer for offer in offers if self._problem(weights, offer))
        if todo and source.remote and offline():
            raise self._forbidden(weights, [offer.name for offer in todo])
        for offer in todo:
            if warning := weights.odd_size(offer.name, offer.size or 0) if offer.size else "":
                self.say(f"note: {warning}")
        return Plan(weights, source, listing.revision, offers, todo)

    def require_room(self, plans: Sequence[Plan]) -> None:
        """See that what is to be fetched fits.

        Raises:
            InputError: it does not, with numbers.
        """
        needed = sum(self._bytes_to_fetch(plan) for plan in plans if not plan.source.links)
        place = next(path for path in (self.folder, *self.folder.absolute().parents) if path.is_dir())
        free = shutil.disk_usage(place).free
        if needed and needed + _RESERVE > free:
            raise InputError(
                f"{self.folder}: {needed / GIB:.2f} GiB are to be fetched and {_RESERVE / GIB:.1f} GiB stay free, but "
                f"{free / GIB:.2f} GiB are free; make room, choose another --weights_dir or fewer --sets"
            )

    def obtain(self, plan: Plan) -> None:
        """Fetch what the plan lacks, and record the set once it is whole.

        Raises:
            InputError: something cannot be had, or is not what it should be; finished files stay.
        """
        for offer in plan.todo:
            path = self._path(plan.weights, offer.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._set_aside(path)
            if plan.source.links and isinstance(plan.source, FolderSource):
                self._link(plan.source, offer, path)
            else:
                self._fetch(plan, offer, path)
        self._record(plan)

    def _needed_of(self, weights: WeightSet, source: Source) -> tuple[Listing, Source]:
        """From the lock if it knows all needed files, else from the source."""
        locked = self._locked(weights)
        if locked.files and _satisfied(weights, locked):
            return Listing(locked.revision, locked.files), source
        if source.remote and offline():
            here = FolderSource(self.folder / weights.folder, links=False, label="a folder")
            listing = here.listing(None) if here.folder.is_dir() else Listing(None, {})
            try:
                weights.choose(listing.offers)
            except InputError as error:
                raise self._forbidden(weights, [str(error)]) from error
            return listing, here
        return source.listing(locked.revision), source

    def _fetch(self, plan: Plan, offer: Offer, path: Path) -> None:
        part = self._part(path, offer)
        self.say(f"  {plan.weights.folder}/{offer.name}{f'  {offer.size:,} bytes' if offer.size is not None else ''}")
        plan.source.fetch(offer, plan.revision, part)
        try:
            if problem := offer.mismatch(part, sha256_file):
                raise InputError(_refusal(path, problem, plan.source.label))
            _look(part, offer, path)
        except InputError:
            part.unlink()
            raise
        part.replace(path)
        for stale in path.parent.glob(f".{escape(path.name)}.*.part"):  # of versions that nobody wants any more
            stale.unlink()

    def _link(self, source: FolderSource, offer: Offer, path: Path) -> None:
        target = source.path(offer.name).resolve()
        if not target.is_file():
            raise InputError(f"{source.path(offer.name)}: no such file, and it is needed")
        if problem := offer.mismatch(target):
            raise InputError(_refusal(target, problem, source.label))
        _look(target, offer, target)
        self.say(f"  {path.relative_to(self.folder)} -> {target}")
        path.symlink_to(target)

    def _record(self, plan: Plan) -> None:
        """Add the set to the lock, unless that says the same already."""
        before = self._locked(plan.weights)
        files = dict(before.files)
        for offer in plan.offers:
            path = self._path(plan.weights, offer.name)
            if offer.name not in files:
                _look(path, offer, path)
                files[offer.name] = Offer(offer.name, path.stat().st_size, sha256=fingerprint_weights(path))
        if files == before.files:
            return
        source = before.source if before.files else plan.source.label
        revision = before.revision if before.files else plan.revision
        self.lock = read_lock(self.folder) | {plan.weights.folder: LockedSet(source, revision, files)}
        write_lock(self.folder, self.lock)

    def _problem(self, weights: WeightSet, offer: Offer) -> str:
        """Why a file must be fetched; "" if it is there and right."""
        path = self._path(weights, offer.name)
        if not path.is_file():
            return "missing"
        problem = offer.mismatch(path)
        if problem:
            self.say(f"{path}: {problem}; it must be fetched again")
        return problem

    def _set_aside(self, path: Path) -> None:
        """Nothing wrong stays under a good name; a file is kept, hidden, for whoever needs it."""
        if path.is_symlink():
            path.unlink()
        elif path.is_file():
            path.replace(path.with_name(f".{path.name}.wrong"))

    def _locked(self, weights: WeightSet) -> LockedSet:
        return self.lock.get(weights.folder) or LockedSet("", None, {})

    def _path(self, weights: WeightSet, name: str) -> Path:
        return self.folder / weights.folder / name

    def _part(self, path: Path, offer: Offer) -> Path:
        return path.with_name(f".{path.name}.{offer.identity}.part")

    def _bytes_to_fetch(self, plan: Plan) -> int:
        """An estimate from the table where the source gives no sizes."""
        if any(offer.size is None for offer in plan.todo):
            return plan.weights.expected_bytes
        return sum(self._rest(plan, offer) for offer in plan.todo)

    def _rest(self, plan: Plan, offer: Offer) -> int:
        part = self._part(self._path(plan.weights, offer.name), offer)
        return max((offer.size or 0) - (part.stat().st_size if part.is_file() else 0), 0)

    def _forbidden(self, weights: WeightSet, missing: Sequence[str]) -> InputError:
        return InputError(
            f"{self.folder / weights.folder}: not complete ({', '.join(missing)}), and HF_HUB_OFFLINE (or "
            "TRANSFORMERS_OFFLINE) forbids downloads; unset it, or give --mirror FOLDER or "
            f"--existing {weights.name}=FOLDER"
        )


def _satisfied(weights: WeightSet, locked: LockedSet) -> bool:
    try:
        weights.choose(locked.files)
    except InputError:
        return False
    return True


def _look(path: Path, offer: Offer, shown: Path) -> None:
    """Of a file whose content nobody vouches for, see that it is what its name says, and no web page."""
    if offer.sha256 or offer.git_sha1:
        return
    try:
        check_by_suffix(path, shown.suffix)
    except InputError as error:
        raise InputError(f"{error}; it should have become {shown}, and was not taken") from error


def _refusal(path: Path, problem: str, source: str) -> str:
    return (
        f"{path}: {problem} (by {LOCK_FILE}, or by what {source} says itself); what came from {source} was not taken: "
        f"run it again, since it may have been damaged on its way; if the source has really changed and you want the "
        f"new version, take the set out of {LOCK_FILE}"
    )


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{name!r}: the source names a file outside of its folder; do not trust it")
    return name
