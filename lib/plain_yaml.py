"""YAML from people and senders, read within bounds: a small file can neither take long nor become large.

An alias can stand for more aliases, so that 300 bytes stand for gigabytes: there are none here, and size, depth and
number of values are limited before anything is made of the file. It needs only pyyaml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from lib.errors import InputError

MOST_BYTES = 128 * 1024
MOST_VALUES = 10_000  # keys count too
MOST_LEVELS = 20  # of lists and mappings in each other
_MOST_DIGITS = 300  # and signs: more would take long to convert, and Python would not print it
_MOST_SHOWN = 120  # characters


def read_bounded(path: Path) -> bytes:
    """The bytes of a YAML file.

    Raises:
        InputError: there are more than MOST_BYTES.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(
            f"{path}: found more than {MOST_BYTES // 1024} KiB; expected a small YAML text; check that it is this file "
            "that was meant"
        )
    return content


def parse_yaml(path: Path, content: bytes, advice: str) -> Any:
    """What the file says, in plain Python values; None if it says nothing.

    Args:
        path: for messages.
        content: of the file, UTF-8 with or without a byte order mark.
        advice: what to do about a file that cannot be understood.

    Raises:
        InputError: not UTF-8, no valid YAML, an alias, too deep or too many values; in one line, with the place.
    """
    try:
        loader = _BoundedLoader(content.decode("utf-8-sig"))
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: found byte {error.start} that is not UTF-8; save the file as UTF-8 text") from None
    except Exception as error:  # noqa: BLE001 - pyyaml lets through whatever an impossible date or number raises
        raise InputError(f"{path}: {_problem(error)}; {advice}") from None


def line_of(content: bytes, key: str) -> int | None:
    """The line, from 1, of a key of the mapping that is the whole file; None if it is not found."""
    try:
        loader = _BoundedLoader(content.decode("utf-8-sig"))
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    if not isinstance(root, yaml.MappingNode):
        return None
    return next((node.start_mark.line + 1 for node, _ in root.value if node.value == key), None)


def shown(value: object) -> str:
    """A value for a message: one line, 120 characters at most."""
    return shortened(repr(value))


def shortened(text: str) -> str:
    """The text in one line, cut after 120 characters; what cannot be printed is replaced."""
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(text.split()))
    return line if len(line) <= _MOST_SHOWN else f"{line[: _MOST_SHOWN - 1]}…"


class _BoundedLoader(yaml.SafeLoader):
    """Counts while it reads; what is refused was never built, since values are made only of a whole document."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._values += 1
        self._levels += 1
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self._refuse(f"*{event.anchor} stands for another place; aliases are not taken, write the text out")
        if self._values > MOST_VALUES:
            self._refuse(f"more than {MOST_VALUES} values")
        if self._levels > MOST_LEVELS and isinstance(event, yaml.CollectionStartEvent):
            self._refuse(f"more than {MOST_LEVELS} lists or mappings in each other")
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node

    def _refuse(self, problem: str) -> None:
        raise ComposerError(None, None, problem, self.peek_event().start_mark)


def _whole_number(loader: _BoundedLoader, node: yaml.ScalarNode) -> int:
    if len(node.value) > _MOST_DIGITS:
        raise ConstructorError(None, None, f"a number of more than {_MOST_DIGITS} digits", node.start_mark)
    return loader.construct_yaml_int(node)


_BoundedLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    return f"{where}not valid YAML ({shortened(problem)})"
