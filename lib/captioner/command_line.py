"""The flags of `python -m lib.captioner`, and what they ask for: captioner options and jobs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from lib.captioner.backend import DEFAULT_MODEL, MAX_PIXELS, CaptionerOptions, backend_names
from lib.captioner.caption_job import CaptionJob
from lib.captioner.folders import FolderVideo, LeftOut, find_videos
from lib.captioner.prompt_file import NEGATIVE_PROMPT, TEXT_GUIDANCE_SCALE
from lib.captioner.words.prompts import SYSTEM_PROMPT
from lib.captioner.words.system_prompt import read_system_prompt

_DESCRIPTION = """\
Caption the background of videos by hand, without the rest of the project: one video (--video_path, --mask_path,
--output_yaml), or all of a folder (--video_root, --mask_root, --output_dir) with the model loaded once. A prompt file
that has a prompt is left as it is. Exit code 1 if a video failed."""
_ONE = ("video_path", "mask_path", "output_yaml")
_ALL = ("video_root", "mask_root", "output_dir")
_MODEL_ONLY = ("model_path", "system_prompt_file", "object_negative_prompt", "object_video_path", "object_video_root")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; dashes in flags count as underscores. Exits with code 2 where flags do not fit together."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.captioner",
        description=_DESCRIPTION,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_paths(parser)
    _add_captioner(parser)
    _add_job(parser)
    given = parser.parse_args([_underscored(argument) for argument in arguments])
    problem = _misfit(given)
    if problem:
        parser.error(problem)
    return given


def captioner_options(given: argparse.Namespace) -> CaptionerOptions:
    """What holds for all videos.

    Raises:
        InputError: the file with the system prompt is missing, unreadable or empty.
    """
    if given.backend == "palette":
        return CaptionerOptions("palette")
    file = given.system_prompt_file
    return CaptionerOptions(
        backend=given.backend,
        model_path=given.model_path or DEFAULT_MODEL,
        device=given.device,
        dtype=given.dtype,
        attention=given.attention,
        max_pixels=given.max_pixels,
        system_prompt=read_system_prompt(file) if file else SYSTEM_PROMPT,
        multi_sample_merge=given.multi_sample_merge,
        object_negative_prompt=given.object_negative_prompt,
    )


def single_job(given: argparse.Namespace) -> CaptionJob:
    """The job of --video_path, --mask_path and --output_yaml."""
    source = given.object_video_path
    video = FolderVideo(given.output_yaml.stem, given.video_path, given.mask_path, source)
    return _job(given, video, given.output_yaml)


def folder_jobs(given: argparse.Namespace) -> tuple[list[CaptionJob], list[LeftOut]]:
    """The jobs of --video_root, --mask_root and --output_dir; and what of the folders cannot be captioned.

    Raises:
        InputError: a folder is missing or empty, or no names match.
    """
    videos, left_out = find_videos(given.video_root, given.mask_root, given.object_video_root)
    return [_job(given, video, given.output_dir / f"{video.name}.yaml") for video in videos], left_out


def _job(given: argparse.Namespace, video: FolderVideo, output: Path) -> CaptionJob:
    source = "" if video.source_path is None else str(video.source_path)
    return CaptionJob(
        name=video.name,
        video_path=str(video.video_path),
        mask_path=str(video.mask_path),
        output_yaml=str(output),
        frames_path=source,
        frame_strategy=given.frame_strategy,
        num_sample_frames=given.num_sample_frames,
        mask_dilation_iter=given.mask_dilation_iter,
        mask_threshold=given.mask_threshold,
        object_ids=given.object_ids,
        n_prompt=given.n_prompt,
        text_guidance_scale=given.text_guidance_scale,
        object_video=source if given.object_negative_prompt else "",
        force=given.force,
    )


def _add_paths(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group("one video")
    one.add_argument("--video_path", type=Path, help="video to caption (phase 1's result), frame folder or picture")
    one.add_argument("--mask_path", type=Path, help="masks of the removed object: folder, video or picture")
    one.add_argument("--output_yaml", type=Path, help="prompt file to write")
    one.add_argument("--object_video_path", type=Path, help="the source: put its object's name before --n_prompt")
    every = parser.add_argument_group("all videos of a folder")
    every.add_argument("--video_root", type=Path, help="videos, frame folders, pictures, or this project's phase1/")
    every.add_argument("--mask_root", type=Path, help="masks under the videos' names, also as <name>_mask")
    every.add_argument("--output_dir", type=Path, help="folder for <name>.yaml")
    every.add_argument("--object_video_root", type=Path, help="the sources: put their objects' names before --n_prompt")


def _add_captioner(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("captioner").add_argument
    add(
        "--backend",
        default="vlm",
        choices=backend_names(),
        help="vlm: a vision-language model [default]; palette: needs no weights",
    )
    add("--model_path", help=f"local folder or hub id of the model [{DEFAULT_MODEL}]")
    add("--device", default="auto", choices=("auto", "cuda", "cpu"), help="where the model runs [%(default)s]")
    add(
        "--dtype",
        default="auto",
        choices=("auto", "bfloat16", "float16", "float32"),
        help="its precision [%(default)s]",
    )
    add(
        "--attention",
        default="auto",
        choices=("auto", "sdpa", "eager", "flash_attention_2"),
        help="its attention [%(default)s]",
    )
    add("--max_pixels", type=_integer(1), default=MAX_PIXELS, help="larger pictures are shown smaller [%(default)s]")
    add(
        "--multi_sample_merge",
        default="longest",
        choices=("longest", "summary"),
        help="several frames: the best of their sentences, or one the model makes of all [%(default)s]",
    )
    add("--object_negative_prompt", action="store_true", help="the same; needs one of the sources above")
    add("--system_prompt_file", type=Path, help="rules for the model in place of the built-in ones")


def _add_job(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("frames and prompt file").add_argument
    add(
        "--frame_strategy",
        default="middle",
        choices=("middle", "multi_sample"),
        help="which frames are captioned [%(default)s]",
    )
    add("--num_sample_frames", type=_integer(1), default=3, help="frames for multi_sample [%(default)s]")
    add("--n_prompt", default=NEGATIVE_PROMPT, help="negative prompt to write [%(default)s]")
    add("--text_guidance_scale", type=_scale, default=TEXT_GUIDANCE_SCALE, help="guidance scale to write [%(default)s]")
    add(
        "--mask_dilation_iter",
        type=_integer(0),
        default=4,
        help="pixels by which the mask grows, as in the removal [%(default)s]",
    )
    add("--mask_threshold", type=_integer(0, 254), help="mask values above are object; default by format")
    add("--object_ids", type=_ids, default=(), help="only these objects of the annotation, as 1,3")
    add("--force", action="store_true", help="write even if the file has a prompt (an edited one is kept as .bak)")


def _misfit(given: argparse.Namespace) -> str:
    """What is wrong with the flags together; "" if nothing. Asking by a source to name the object is asking for it."""
    one, every = ([name for name in names if getattr(given, name) is not None] for names in (_ONE, _ALL))
    whole, found = (_ALL, every) if every else (_ONE, one)
    if (one and every) or len(found) < len(whole):
        return f"give {_flags(_ONE)}, or {_flags(_ALL)}; found {_flags((*one, *every)) or 'none of them'}"
    source = "object_video_root" if every else "object_video_path"
    other = "object_video_path" if every else "object_video_root"
    if getattr(given, other) is not None:
        return f"--{other} does not go with {_flags(whole)}; give --{source}"
    if given.object_negative_prompt and getattr(given, source) is None:
        return f"--object_negative_prompt needs the source, in which the object still is: give --{source}"
    useless = [name for name in _MODEL_ONLY if getattr(given, name)] if given.backend == "palette" else []
    if useless:
        return f"{_flags(useless)} need a model; found --backend palette, which has none"
    given.object_negative_prompt = getattr(given, source) is not None
    return ""


def _flags(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _integer(least: int, most: int | None = None) -> Callable[[str], int]:
    def integer(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            expected = f"at least {least}" if most is None else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"found {value}; expected {expected}")
        return value

    return integer


def _scale(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"found {value}; expected a number of at least 0")
    return value


def _ids(text: str) -> tuple[int, ...]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not all(item.isdecimal() for item in items):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected numbers, as 1,3")
    return tuple(int(item) for item in items)
