"""Fetches the published weights into one folder: `python -m deployments.weights`, or `make weights`.

Only the needed files, going on where an earlier download was cut off. What came is recorded in weights.lock.json beside
them (revision, size, sha256), and verified against that from then on. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE count.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deployments.weight_store.folders import FolderSource
from deployments.weight_store.half import write_half_folder
from deployments.weight_store.licences import require_acceptance, show_licences
from deployments.weight_store.lock import LockedSet, read_lock
from deployments.weight_store.sets import CAPTION_REPOSITORY, PROPAINTER_RELEASE, WeightSet, pick, weight_sets
from deployments.weight_store.source import Source
from deployments.weight_store.store import GIB, Plan, Store
from deployments.weight_store.verify import verify
from lib.diffueraser.weight_files import PCM_STEPS
from lib.errors import InputError
from lib.runtime.file_lock import LockedFile, try_lock

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
_LOCK = ".weights.lock"
say = partial(print, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch or check; 0 all well, 1 something is wrong or cannot be had, 2 bad usage, 130 interrupted."""
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        sets = chosen_sets(options)
        existing = existing_folders(options, sets)
    except InputError as error:
        print(f"weights: {error}", file=sys.stderr)
        return EXIT_USAGE
    try:
        if options.check:
            return EXIT_FAILED if verify(options.weights_dir, _named(options, sets), say) else 0
        fetch(options, sets, existing)
    except (InputError, OSError) as error:
        print(f"weights: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("\nweights: stopped; the same command goes on from here", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Flags; dashes in them count as underscores."""
    parser = argparse.ArgumentParser(prog="python -m deployments.weights", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--weights_dir", type=Path, default=_default_dir(), help="default: AUTO_REFINE_WEIGHTS, or weights/")
    add(
        "--sets",
        type=_names,
        default=(),
        help=f"some of {','.join(entry.name for entry in weight_sets())}; else all but the metrics'",
    )
    add("--metrics", action="store_true", help="also the networks of LPIPS, VFID and temporal consistency (2 GB)")
    add("--pcm_steps", type=_steps, default=(2,), help="which PCM LoRAs, such as 2,4 (of 2, 4, 8, 16); default 2")
    add("--caption_repository", default=CAPTION_REPOSITORY, help="another vision-language model on the hub")
    add("--accept_licences", action="store_true", help="you have read and accept them, also non-commercial ones")
    add("--existing", action="append", default=[], metavar="SET=FOLDER", help="link to files that you have; repeatable")
    add("--mirror", type=Path, help="copy from a folder laid out like the weights' instead of downloading")
    add(
        "--propainter_url",
        default=os.environ.get("AUTO_REFINE_PROPAINTER_URL") or PROPAINTER_RELEASE,
        help="where ProPainter's files lie; default: AUTO_REFINE_PROPAINTER_URL, or the release on GitHub",
    )
    add("--fp16", action="store_true", help="afterwards write a copy of DiffuEraser's networks in half precision")
    add("--fp16_dir", type=Path, help="where to; default: <weights_dir>-fp16")
    add("--check", action="store_true", help="only compare what is there with weights.lock.json")
    return parser.parse_args([_with_underscores(word) for word in argv])


def chosen_sets(options: argparse.Namespace) -> list[WeightSet]:
    """Those of --sets, else all that the default engine and its captioner need, and the metrics' if wanted.

    Raises:
        InputError: there is no such set, or the captioner's name is none.
    """
    sets = weight_sets(options.pcm_steps, options.caption_repository, options.propainter_url)
    wanted = options.sets or [entry.name for entry in sets if not entry.for_metrics]
    chosen = pick(sets, wanted)
    return chosen + [entry for entry in sets if options.metrics and entry.for_metrics and entry not in chosen]


def existing_folders(options: argparse.Namespace, sets: Sequence[WeightSet]) -> dict[str, Path]:
    """Set's folder -> the folder that a person already has.

    Raises:
        InputError: a set is unknown or not chosen, or there is no such folder.
    """
    found = {}
    for text in options.existing:
        name, equals, folder = text.partition("=")
        path = Path(folder).expanduser()
        if not equals or not folder:
            raise InputError(f"--existing {text}: expected SET=FOLDER, such as vae=/models/sd-vae-ft-mse")
        if not path.is_dir():
            raise InputError(f"--existing {text}: {path}: no such folder")
        found |= {weights.folder: path for weights in pick(list(sets), [name])}
    return found


def fetch(options: argparse.Namespace, sets: Sequence[WeightSet], existing: dict[str, Path]) -> None:
    """Everything: look, show licences, ask, fetch set by set, and halve if wished.

    Raises:
        InputError: what went wrong and what to do.
    """
    folder = options.weights_dir
    with _alone(folder):
        store = Store(folder, say)
        show_licences(sets, say)
        recorded = read_lock(options.mirror) if options.mirror else {}
        plans = [store.plan(weights, source_of(weights, options, existing, recorded)) for weights in sets]
        fetched = [plan.weights for plan in plans if plan.todo and not plan.source.links]
        require_acceptance(fetched, accepted=options.accept_licences)
        store.require_room(plans)
        for plan in plans:
            say(_headline(plan))
            store.obtain(plan)
        if options.fp16:
            target = options.fp16_dir or folder.absolute().with_name(f"{folder.absolute().name}-fp16")
            write_half_folder(folder, target, min(options.pcm_steps), say)
    say(f"all there: {folder} (`make doctor` looks into the files)")


def source_of(
    weights: WeightSet, options: argparse.Namespace, existing: dict[str, Path], recorded: dict[str, LockedSet]
) -> Source:
    """A folder that was given, else the mirror, else where the set is published."""
    if weights.folder in existing:
        return FolderSource(existing[weights.folder], links=True)
    if options.mirror:
        return FolderSource(options.mirror / weights.folder, links=False, recorded=recorded.get(weights.folder))
    if not weights.repository:
        from deployments.weight_store.web import WebSource

        moved = "--propainter_url (or AUTO_REFINE_PROPAINTER_URL)" if weights.name == "propainter" else "the network"
        advice = f"check {moved}, or take files that you have with --existing {weights.name}=FOLDER"
        return WebSource(dict(weights.urls), advice)
    from deployments.weight_store.hub import HubSource  # takes a second

    return HubSource(weights.repository)


def _alone(folder: Path) -> LockedFile:
    folder.mkdir(parents=True, exist_ok=True)
    held = try_lock(folder / _LOCK)
    if held is None:
        raise InputError(f"{folder}: another `make weights` is at work there; wait for it, or stop it")
    return held


def _headline(plan: Plan) -> str:
    if not plan.todo:
        return f"{plan.weights.folder}: {len(plan.offers)} files, all there"
    size = sum(offer.size or 0 for offer in plan.todo) / GIB
    at = f" at {plan.revision[:12]}" if plan.revision else ""
    count = f"{len(plan.todo)} of {len(plan.offers)} files"
    return f"{plan.weights.folder}: {count}, {size:.2f} GiB, from {plan.source.label}{at}"


def _named(options: argparse.Namespace, sets: Sequence[WeightSet]) -> list[str]:
    return [weights.folder for weights in sets] if options.sets else []


def _default_dir() -> Path:
    return Path(os.environ.get("AUTO_REFINE_WEIGHTS") or "weights")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _steps(text: str) -> tuple[int, ...]:
    steps = tuple(int(part) for part in _names(text) if part.isdigit())
    if len(steps) != len(_names(text)) or not steps or not set(steps) <= set(PCM_STEPS):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected some of {', '.join(map(str, PCM_STEPS))}")
    return steps


def _with_underscores(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


if __name__ == "__main__":
    sys.exit(main())
