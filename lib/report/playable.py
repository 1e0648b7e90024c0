"""Which results all browsers play, and where a copy lies of those that they do not."""

from __future__ import annotations

from pathlib import Path

from lib.errors import InputError, attempt
from lib.video.clip import first_frame
from lib.video.colour import reads_plainly, tags_of
from lib.video.decode import open_video


def browsers_play(path: Path) -> bool:
    """Whether all browsers show a video file as it is meant: 8-bit 4:2:0 H.264, whole frames, ordinary colours.

    Raises:
        InputError: it cannot be read.
    """
    with open_video(path) as (_, stream):
        context = stream.codec_context
        if (context.name, context.pix_fmt) != ("h264", "yuv420p"):
            return False
    frame = first_frame(path)
    return not frame.interlaced_frame and reads_plainly(tags_of(frame))


def needs_copy(path: Path) -> bool:
    """Whether a page should play a copy of a file; not of one that cannot be read."""
    plays = attempt(lambda: browsers_play(path), path)
    return not isinstance(plays, InputError) and not plays


def media_folder(output_dir: Path, name: str) -> Path:
    """Where what the report plays of a video lies, apart from results that it can play themselves."""
    return output_dir / "report" / "media" / name


def copy_path(output_dir: Path, name: str, result: Path) -> Path:
    """Where the copy of one of a video's results lies, by where the result does: a study has a result a variant."""
    parts = result.relative_to(output_dir).parts[:-1]
    label = "result"
    if len(parts) == 2 and parts[0] == "phase1":
        label = "coarse"
    elif len(parts) == 3:  # variants/<variant>/<name>
        label = f"result-{parts[1]}"
    return media_folder(output_dir, name) / f"{label}.mp4"


def copy_to_play(output_dir: Path, name: str, result: Path) -> Path | None:
    """The copy to play instead of a result; None where the page plays the result itself."""
    path = copy_path(output_dir, name, result)
    return path if path.is_file() and needs_copy(result) else None
