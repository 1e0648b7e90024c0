"""Looks whether this box can do a job: `python -m deployments.doctor`, or `make doctor`.

One line a finding, `ok|warn|FAIL|skip  what: found - what to do`; exit code 1 if something failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from deployments.box.paths import BoxPaths, read_env_file
from deployments.checks.finding import Finding, fail, failures
from deployments.checks.job import ENGINES, Job
from lib.errors import InputError

EXIT_FAILED, EXIT_USAGE = 1, 2
# Group -> the module and its function; imported when the group's turn comes, so that one missing package does not
# keep the others from being looked at.
GROUPS = {
    "gpu": ("deployments.checks.gpu", "check_gpus"),
    "memory": ("deployments.checks.memory", "check_memory"),
    "disk": ("deployments.checks.disk", "check_disk"),
    "video": ("deployments.checks.video", "check_video"),
    "weights": ("deployments.checks.weights", "check_weight_sets"),
    "captions": ("deployments.checks.captions", "check_captions"),
    "box": ("deployments.checks.box", "check_box"),
    "server": ("deployments.checks.server", "check_server"),
}
Say = Callable[[str], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Look, print, and give the exit code: 0 all well (warnings count as well), 1 something failed, 2 bad usage."""
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        job = make_job(options)
    except (InputError, OSError) as error:
        print(f"doctor: {error}", file=sys.stderr)
        return EXIT_USAGE
    say: Say = (lambda _line: None) if options.json else partial(print, flush=True)
    found = {group: list(_heard(examine(group, job), say, group)) for group in options.only}
    if options.json:
        print(json.dumps(as_json(found), indent=1))
    else:
        print(f"\n{summary(found)}")
    return EXIT_FAILED if count(found, "FAIL") else 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Flags; dashes in them count as underscores."""
    parser = argparse.ArgumentParser(prog="python -m deployments.doctor", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", type=_groups, default=tuple(GROUPS), help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--box", choices=("auto", "user", "root", "none"), default="auto", help="whose installation")
    parser.add_argument("--hashes", action="store_true", help="read whole weight files and compare with the record")
    size = parser.add_argument_group("the job whose needs are estimated")
    size.add_argument("--engine", choices=ENGINES, default="diffueraser")
    size.add_argument("--width", type=_positive, default=1280)
    size.add_argument("--height", type=_positive, default=720)
    size.add_argument("--frames", type=_positive, default=300)
    size.add_argument("--offload", action="store_true")
    size.add_argument("--pcm_steps", type=int, choices=(2, 4, 8, 16), default=2)
    places = parser.add_argument_group("places")
    places.add_argument("--output_dir", type=Path, help="default: AUTO_REFINE_RESULTS or results")
    places.add_argument("--weights_dir", type=Path, help="default: AUTO_REFINE_WEIGHTS or weights")
    places.add_argument(
        "--caption_env", help="conda environment, folder or interpreter; default: .venv-caption if built"
    )
    places.add_argument("--caption_backend", choices=("vlm", "palette"), help="default: what suits the engine")
    places.add_argument("--caption_model_path", help="default: the one in the folder of weights")
    return parser.parse_args([_with_underscores(word) for word in argv])


def make_job(options: argparse.Namespace) -> Job:
    """The job, in the environment of the box: what its client.env says, below what our own says.

    Raises:
        InputError: the box that is named has no installation, or its environment file is unusable.
    """
    box = find_box(options.box)
    env = merged(_box_environment(box), os.environ)
    return Job(
        engine=options.engine,
        width=options.width,
        height=options.height,
        frames=options.frames,
        offload=options.offload,
        pcm_steps=options.pcm_steps,
        output_dir=_folder(options.output_dir, env.get("AUTO_REFINE_RESULTS") or "results"),
        weights_dir=_folder(options.weights_dir, env.get("AUTO_REFINE_WEIGHTS") or "weights"),
        hashes=options.hashes,
        caption_env=options.caption_env,
        caption_backend=options.caption_backend,
        caption_model=options.caption_model_path,
        box=box,
        env=env,
    )


def merged(boxes: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Ours wins; and where ours names another server, that one does not get the box's password."""
    if ours.get("PREFECT_API_URL", boxes.get("PREFECT_API_URL")) != boxes.get("PREFECT_API_URL"):
        boxes = {name: value for name, value in boxes.items() if not name.startswith("PREFECT_")}
    return {**boxes, **ours}


def find_box(kind: str) -> BoxPaths | None:
    """The installation that is meant. kind: user, root, none, or auto: the user's if there is one, else root's.

    Raises:
        InputError: there is none where one is named.
    """
    makers = {"user": (BoxPaths.for_user,), "root": (BoxPaths.for_root,), "none": ()}
    places = [make() for make in makers.get(kind, (BoxPaths.for_user, BoxPaths.for_root))]
    found = next((paths for paths in places if paths.client_env.exists() or paths.manifest.exists()), None)
    if places and found is None and kind != "auto":
        raise InputError(f"--box {kind}: nothing is installed in {places[0].config_dir}; `make gpu-box` installs it")
    return found


def examine(group: str, job: Job) -> Iterator[Finding]:
    """The findings of a group; a check that cannot be made is one too."""
    module, function = GROUPS[group]
    try:
        check = getattr(importlib.import_module(module), function)
        yield from check(job)
    except ImportError as error:
        yield fail(group, f"cannot be looked at: {error}", f"make install, or {sys.executable} -m pip install -e .")
    except InputError as error:
        yield from failures(group, error)
    except OSError as error:
        yield fail(group, str(error), "mend its permissions, or run the doctor as the user who runs the workers")
    except Exception as error:  # noqa: BLE001 - the other groups are looked at all the same
        yield fail(group, f"the check broke off ({type(error).__name__}: {error})", "please report this")


def count(found: Mapping[str, Sequence[Finding]], level: str) -> int:
    """How many findings are of a level."""
    return sum(finding.level == level for findings in found.values() for finding in findings)


def summary(found: Mapping[str, Sequence[Finding]]) -> str:
    """The last line."""
    failed, warned = count(found, "FAIL"), count(found, "warn")
    return f"{failed} failed, {warned} to know about, {count(found, 'ok')} ok"


def as_json(found: Mapping[str, Sequence[Finding]]) -> dict[str, object]:
    """The same, to be read by programs."""
    findings = [
        {"group": group, **dataclasses.asdict(finding)} for group, listed in found.items() for finding in listed
    ]
    return {"ok": not count(found, "FAIL"), "findings": findings}


def _heard(findings: Iterator[Finding], say: Say, group: str) -> Iterator[Finding]:
    """Each finding, told as soon as it is there."""
    say(f"{group}")
    for finding in findings:
        say(f"  {finding}")
        yield finding


def _box_environment(box: BoxPaths | None) -> dict[str, str]:
    """What the box tells its workers; nothing where its file is not ours to read, which the box's checks say."""
    if box is None or not os.access(box.client_env, os.R_OK):
        return {}
    return read_env_file(box.client_env)


def _folder(given: Path | None, default: str) -> Path:
    folder = (given or Path(default)).expanduser()
    return folder if folder.is_absolute() else Path.cwd() / folder


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if unknown := [name for name in names if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f"found {', '.join(unknown)}; expected some of {', '.join(GROUPS)}")
    return names


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a positive number")
    return int(text)


def _with_underscores(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


if __name__ == "__main__":
    sys.exit(main())
