"""caption_sheet.html: every video's caption beside what the captioner saw, for a person to check at a glance.

The page is one file: pictures, style and script are in it. Only its links to the prompt files and to the full pictures
need the output folder.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lib.captioner.prompt_file import existing_prompt, is_ours, load_prompt_mapping
from lib.captioner.words.sentence import MAX_WORDS
from lib.errors import InputError
from lib.report.page import link, write_page
from lib.report.thumbnails import thumbnail_columns, thumbnail_uris

RowStatus = Literal["new", "cached", "edited", "failed"]

UNKNOWN_FLAG = "a flag that this page does not know"
# Flag -> how bad it is and what it means. "bad": do not trust the sentence unread; "poor": look; "note": good to know.
FLAGS: dict[str, tuple[str, str]] = {
    "mask": ("bad", "The model spoke of the gray region, a mask or something removed; such parts were cut out."),
    "living": ("bad", "The model spoke of people, animals or things in the foreground; such parts were cut out."),
    "not_english": ("bad", "The model answered in another language than English."),
    "refusal": ("bad", "The model refused to describe the picture."),
    "no_visible_pixels": ("bad", "The hole covers the whole picture: nothing was to be seen, the sentence is neutral."),
    "long": ("poor", f"The model's answer had more than {MAX_WORDS} words and was cut."),
    "short": ("poor", "The model said too little to describe a background."),
    "object_unnamed": ("poor", "The removed object could not be named, so the negative prompt does not name it."),
    "small_picture": ("note", "Memory ran out: the model saw a smaller picture than asked for and may miss details."),
}
SOURCES: dict[str, str] = {
    "auto_masked": "Written by a vision-language model.",
    "auto_palette": "Made of measured colours and light, without a model.",
    "manual": "Written or edited by a person.",
    "fallback": "A neutral sentence, because the model gave none that can be used; better write one.",
}


@dataclass(frozen=True)
class SheetRow:
    """One video on the sheet."""

    name: str
    yaml_path: Path
    sentence: str
    object_phrase: str  # the removed object, "" if it was not asked for
    flags: tuple[str, ...]
    source: str  # auto_masked, auto_palette, manual or fallback; "" if nothing is known
    model: str
    frame_idx: tuple[int, ...]  # the frames that the picture shows, from left to right
    picture: Path | None  # what the captioner saw
    status: RowStatus
    error: str = ""  # why there is no sentence to rely on


def row_from_prompt_file(name: str, yaml_path: Path, picture: Path | None, status: RowStatus) -> SheetRow:
    """The row of a video whose prompt file says everything; one that cannot be read is a failed row, never an error.

    A file that a person wrote or edited counts as `manual` and without flags: those were about another sentence.
    """
    try:
        sentence = existing_prompt(yaml_path)
        said = load_prompt_mapping(yaml_path)
    except (InputError, OSError) as error:
        return failed_row(name, yaml_path, picture, str(error))
    row = SheetRow(
        name=name,
        yaml_path=yaml_path,
        sentence=sentence,
        object_phrase=_text(said.get("prompt_object")),
        flags=tuple(_text(flag) for flag in _items(said.get("prompt_flags"))),
        source=_text(said.get("prompt_source")),
        model=_text(said.get("prompt_model")),
        frame_idx=tuple(item for item in _items(said.get("prompt_frame_idx")) if type(item) is int),
        picture=picture,
        status=status,
    )
    if not sentence:
        problem = f"{yaml_path}: found no prompt; write one, or delete the file to caption the video again"
        return replace(row, status="failed", error=problem)
    return row if is_ours(yaml_path) else replace(row, source="manual", flags=())


def failed_row(name: str, yaml_path: Path, picture: Path | None, error: str) -> SheetRow:
    """The row of a video that has no caption, and why."""
    return SheetRow(name, yaml_path, "", "", (), "", "", (), picture, "failed", error)


def write_caption_sheet(rows: Sequence[SheetRow], path: Path, title: str) -> Path:
    """Write the page in one step: readers see the old page or the new one.

    Args:
        rows: shown in this order.
        path: the HTML file; links are relative to its folder.
    """
    return write_page(
        path,
        "caption_sheet.html.j2",
        title=title,
        cards=_cards(rows, path.parent),
        counts=_counts(rows),
        known_flags=FLAGS,
        known_sources=SOURCES,
        long_sentence=MAX_WORDS,
    )


def _cards(rows: Sequence[SheetRow], folder: Path) -> list[dict[str, Any]]:
    """What the template shows of each row."""
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        thumbnails = list(pool.map(lambda row: thumbnail_uris(row.picture, len(row.frame_idx)), rows))
    return [_card(row, folder, images) for row, images in zip(rows, thumbnails, strict=True)]


def _card(row: SheetRow, folder: Path, thumbnails: list[str]) -> dict[str, Any]:
    return {
        "row": row,
        "kinds": " ".join(sorted(_kinds(row))),
        "thumbnails": thumbnails,
        "columns": thumbnail_columns(len(thumbnails)),
        "picture_link": link(row.picture, folder) if row.picture is not None else "",
        "yaml_link": link(row.yaml_path, folder),
        "yaml_shown": os.path.relpath(row.yaml_path, folder),
        "flags": [(flag, *FLAGS.get(flag, ("poor", UNKNOWN_FLAG))) for flag in row.flags],
        "source_note": SOURCES.get(row.source, ""),
        "words": len(row.sentence.split()),
        "made": _made(row),
    }


def _made(row: SheetRow) -> list[str]:
    frames = ", ".join(map(str, row.frame_idx))
    named = f"frames {frames}" if len(row.frame_idx) > 1 else f"frame {frames}" if frames else ""
    status = "" if row.status == "failed" else row.status
    return [part for part in (status, named, row.model) if part]


def _kinds(row: SheetRow) -> set[str]:
    """The filters under which the row is shown."""
    edited = row.status == "edited" or row.source == "manual"
    asked = {
        "flagged": bool(row.flags),
        "failed": row.status == "failed",
        "edited": edited and row.status != "failed",
        "fallback": row.source == "fallback",
    }
    return {kind for kind, holds in asked.items() if holds}


def _counts(rows: Sequence[SheetRow]) -> dict[str, int]:
    """How many rows each filter shows, in the order of the buttons."""
    found = Counter(kind for row in rows for kind in _kinds(row))
    return {"all": len(rows)} | {kind: found[kind] for kind in ("flagged", "failed", "edited", "fallback")}


def _items(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
