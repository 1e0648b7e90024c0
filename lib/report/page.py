"""What all pages share: a template filled in, written in one step, with links relative to where the page lies."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def write_page(path: Path, template: str, **values: object) -> Path:
    """Fill in a template of this folder; readers see the old page or the new one. All values are escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(**values)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(page.encode("utf-8", "replace"))  # file names and YAML can hold what UTF-8 cannot
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def link(path: Path, folder: Path) -> str:
    """The path relative to the page's folder, as a URL."""
    return quote_from_bytes(os.fsencode(os.path.relpath(path, folder)))
