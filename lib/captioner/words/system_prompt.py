"""A person's own rules for the model, in place of the built-in ones."""

from __future__ import annotations

from pathlib import Path

from lib.errors import InputError


def read_system_prompt(path: Path) -> str:
    """The text of a system prompt file.

    Raises:
        InputError: the file is missing, not UTF-8 text, or empty.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").strip()
    except OSError as error:
        raise InputError(
            f"{path}: system prompt cannot be read ({error.strerror}); check --system_prompt_file"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: found byte {error.start} that is not UTF-8; save the file as UTF-8 text") from None
    if not text:
        raise InputError(f"{path}: found an empty system prompt; write the rules, or leave --system_prompt_file out")
    return text
