"""Which names a video may have: they become names of files and folders of the output."""

from __future__ import annotations

import unicodedata

NAME_MAX = 255  # bytes of a file's name on Linux
# The longest name made of a video's is the draft of its prompt file's backup: `.<name>.yaml.bak999.xxxxxxxx.tmp`.
LONGEST_DECORATION = len("." + ".yaml.bak999" + "." + "x" * 8 + ".tmp")
MOST_NAME_BYTES = NAME_MAX - LONGEST_DECORATION


def name_problem(name: str) -> str | None:
    """Why a video's name cannot name an output folder, or None."""
    if not name.strip():
        return "is empty"
    if "/" in name or "\\" in name:
        return "contains a path separator"
    if name.startswith("."):
        return "starts with a dot"
    if any(map(is_control, name)):
        return "contains a control character"
    if any(0xD800 <= ord(char) < 0xE000 for char in name):
        return "is not valid UTF-8"
    return length_problem(name)


def is_control(char: str) -> bool:
    """Whether a character is none that is shown, but one that controls a terminal."""
    return ord(char) < 32 or 127 <= ord(char) < 160


def same_to_the_eye(first: str, second: str) -> bool:
    """Whether two names differ in nothing but case and how their accents are stored, as copies between systems do."""
    return _folded(first) == _folded(second)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def length_problem(name: str) -> str | None:
    """Why a name is too long for the files that are made of it, or None."""
    length = len(name.encode("utf-8", "surrogatepass" if _has_lone_surrogate(name) else "surrogateescape"))
    if length > MOST_NAME_BYTES:
        return f"is too long: {length} bytes, expected {MOST_NAME_BYTES} at most, as files are named after it"
    return None


def _has_lone_surrogate(name: str) -> bool:
    return any(0xD800 <= ord(char) < 0xE000 and not 0xDC80 <= ord(char) <= 0xDCFF for char in name)
