"""Whether a video file is whole: what was decoded, held against what the file promises."""

from __future__ import annotations

from pathlib import Path

from lib.errors import InputError
from lib.notes import Note, input_note
from lib.video.decode import Findings
from lib.video.listing import Listing

_ALLOWED_SHARE = 0.005  # of the frames that were asked for; at least one frame


def check_damage(
    path: Path, listing: Listing, findings: Findings, limit: int = -1, *, accept: bool = False
) -> tuple[Note, ...]:
    """Notes on what is damaged.

    Args:
        findings: of decoding the clip up to its end, or to its first `limit` frames (-1: all).
        accept: more damage than can be passed over is no error.

    Raises:
        InputError: more than one frame and more than 0.5 % of the frames are missing or corrupt.
    """
    wanted, whole = _wanted(listing, limit)
    missing = max(wanted - findings.frames, 0)
    if listing.stamps is None:  # then no packet vouches for a frame
        missing = max(missing, findings.undecodable)
    corrupt = max(findings.corrupt, listing.flagged if whole else 0)
    return _judged(path, listing, limit, missing, corrupt, findings.reason, accept=accept)


def check_promise(path: Path, listing: Listing, limit: int = -1, *, accept: bool = False) -> tuple[Note, ...]:
    """The same, as far as it can be seen without decoding.

    Raises:
        InputError: too much of what the file promises is not in it.
    """
    wanted, _ = _wanted(listing, limit)
    return _judged(path, listing, limit, max(wanted - listing.timeline.count, 0), 0, "", accept=accept)


def _wanted(listing: Listing, limit: int) -> tuple[int, bool]:
    """The frames that there should be, and whether these are all that the file promises."""
    promised = listing.timeline.count + listing.missing
    return (promised if limit < 0 else min(limit, promised)), limit < 0 or limit >= promised


def _judged(
    path: Path, listing: Listing, limit: int, missing: int, corrupt: int, reason: str, *, accept: bool
) -> tuple[Note, ...]:
    wanted, whole = _wanted(listing, limit)
    lead = _leading(listing)
    if not missing and not corrupt:
        cut = (input_note(f"the file was cut: {listing.truncation}"),) if listing.truncation and whole else ()
        return lead + cut
    why = "; ".join(filter(None, (listing.truncation, reason)))
    said = f"of {wanted} frames {missing} are missing and {corrupt} corrupt{f' ({why})' if why else ''}"
    allowed = max(1, int(_ALLOWED_SHARE * wanted))
    if missing + corrupt <= allowed:
        return (*lead, input_note(f"slightly damaged: {said}"))
    if accept:
        return (*lead, Note(f"damaged: {said}; taken as it is (--accept_damaged)"))
    raise InputError(
        f"{path}: damaged, {said}, expected at most {allowed}; replace the file, "
        "or take what can be read of it with --accept_damaged"
    )


def _leading(listing: Listing) -> tuple[Note, ...]:
    if not listing.leading:
        return ()
    return (input_note(f"the file begins between key frames: its first {listing.leading} frames are shown by no one"),)
