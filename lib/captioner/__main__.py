"""`python -m lib.captioner`: caption one video by hand, in the caption environment, without the rest of the project."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lib.captioner.backend import DEFAULT_BACKEND, CaptionerOptions, backend_names, load_captioner
from lib.captioner.jobs import CaptionJob, prompt_to_keep, run_caption_job
from lib.captioner.prompt_file import NEGATIVE_PROMPT, TEXT_GUIDANCE_SCALE
from lib.errors import InputError


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; dashes in flags count as underscores."""
    parser = argparse.ArgumentParser(prog="python -m lib.captioner", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--video_path", required=True, help="video to caption (phase 1's result), frame folder or picture")
    add("--mask_path", required=True, help="masks of the removed object: folder, video or picture")
    add("--output_yaml", required=True, help="prompt file to write")
    add("--backend", default=DEFAULT_BACKEND, choices=backend_names(), help="what writes the sentence")
    add("--model_path", help="vision-language model, local or on the hub (palette needs none)")
    add("--device", default="cuda", choices=("cuda", "cpu"), help="where the model runs (palette: no matter)")
    add("--frame_strategy", default="middle", choices=("middle", "multi_sample"), help="which frames are captioned")
    add("--num_sample_frames", type=_at_least(1), default=3, help="frames for multi_sample")
    add("--n_prompt", default=NEGATIVE_PROMPT, help="negative prompt to write")
    add("--text_guidance_scale", type=float, default=TEXT_GUIDANCE_SCALE, help="guidance scale to write")
    add("--mask_dilation_iter", type=_at_least(0), default=4, help="pixels by which the mask grows, as in the removal")
    add("--mask_threshold", type=_at_least(0), help="mask values above are object; default by format")
    add("--object_ids", type=_ids, default=(), help="only these objects of the annotation, as 1,3")
    add("--force", action="store_true", help="write even if the file has a prompt (an edited one is kept as .bak)")
    return parser.parse_args([_underscored(argument) for argument in arguments])


def main(arguments: Sequence[str] | None = None) -> int:
    """Caption one video; returns 0 when the prompt file is there, 1 after an error."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    job = CaptionJob(
        name=Path(options.output_yaml).stem,
        video_path=options.video_path,
        mask_path=options.mask_path,
        output_yaml=options.output_yaml,
        frame_strategy=options.frame_strategy,
        num_sample_frames=options.num_sample_frames,
        mask_dilation_iter=options.mask_dilation_iter,
        mask_threshold=options.mask_threshold,
        object_ids=options.object_ids,
        n_prompt=options.n_prompt,
        text_guidance_scale=options.text_guidance_scale,
        backend=options.backend,
        force=options.force,
    )
    try:
        return _caption(job, CaptionerOptions(options.model_path, options.device))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or options.output_yaml}: {error.strerror or error}", file=sys.stderr)
    return 1


def _caption(job: CaptionJob, options: CaptionerOptions) -> int:
    if prompt_to_keep(job):  # before a model is loaded for nothing
        print(f"[SKIP] YAML already contains prompt. Use --force to overwrite. ({job.output_yaml})")
        return 0
    record = run_caption_job(job, load_captioner(job.backend, options))
    if record["backup"]:
        print(f"the file that was there is kept as {record['backup']}")
    print(f"{record['path']}: {record['prompt']}")
    return 0


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _at_least(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"found {value}; expected at least {least}")
        return value

    return integer


def _ids(text: str) -> tuple[int, ...]:
    return tuple(int(item) for item in text.split(",") if item.strip())


if __name__ == "__main__":
    sys.exit(main())
