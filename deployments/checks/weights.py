"""Every weight file: there, whole, the right one (the engines' own checks), and as recorded when it was downloaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deployments.checks.finding import Finding, fail, failures, ok, skip
from deployments.checks.job import Job
from lib.errors import InputError
from lib.runtime.fingerprints import sha256_file

LOCK_FILE = "weights.lock.json"
DIFFUERASER = ("stable-diffusion-v1-5", "sd-vae-ft-mse", "diffuEraser", "PCM_Weights")
PROPAINTER = "propainter"
INPAINTING = "stable-diffusion-inpainting"


@dataclass(frozen=True)
class WeightSet:
    """One row of README's table of weights, or those rows that one engine takes together."""

    name: str
    folders: tuple[str, ...]
    engines: tuple[str, ...]  # that need it
    check: Callable[[Job], object]  # raises InputError


def check_weight_sets(job: Job) -> Iterator[Finding]:
    """Reads headers only, but for `--hashes`."""
    for weights in SETS:
        yield from check_set(weights, job)
    yield from check_caption_model(job)
    yield from check_lock(job)


def check_set(weights: WeightSet, job: Job) -> Iterator[Finding]:
    there = [name for name in weights.folders if (job.weights_dir / name).is_dir()]
    if job.engine not in weights.engines and len(there) < len(weights.folders):
        yield skip(weights.name, f"--engine {job.engine} does not need them")
        return
    try:
        weights.check(job)
    except InputError as error:
        yield from failures(weights.name, error)
    except OSError as error:
        yield fail(weights.name, f"{error.filename}: cannot be read ({error.strerror})", "check its permissions")
    else:
        yield ok(weights.name, f"{', '.join(weights.folders)} in {job.weights_dir}: keys and shapes fit")


def check_caption_model(job: Job) -> Iterator[Finding]:
    what = "caption model"
    if not job.captions_by_model:
        yield skip(what, "captions are made by palette, which needs none")
        return
    from lib.captioner.model.files import find_model

    try:
        files = find_model(caption_model(job))
    except InputError as error:
        yield from failures(what, error)
    else:
        kind = f"{files.model_type}{', ' + files.quantisation if files.quantisation else ''}"
        yield ok(what, f"{files.folder}: {files.name} ({kind}), whole")


def caption_model(job: Job) -> str:
    """As given, else the one in the folder of weights, else the default's name on the hub."""
    from lib.captioner.backend import DEFAULT_MODEL

    local = job.weights_dir / DEFAULT_MODEL.rpartition("/")[2]
    return job.caption_model or (str(local) if local.is_dir() else DEFAULT_MODEL)


def check_lock(job: Job) -> Iterator[Finding]:
    """Sizes, and with --hashes contents, against the record of the download."""
    what, path = "weights' record", job.weights_dir / LOCK_FILE
    if not path.is_file():
        yield skip(what, f"no {path}: `make weights` writes one")
        return
    try:
        recorded = read_lock(path)
    except InputError as error:
        yield from failures(what, error)
        return
    wrong = [finding for name, entry in recorded.items() if (finding := compare(job, name, entry))]
    yield from wrong
    if not wrong:
        compared = "sizes and hashes" if job.hashes else "sizes (--hashes compares contents)"
        yield ok(what, f"{len(recorded)} files have their recorded {compared}")


@dataclass(frozen=True)
class Recorded:
    """What the lock says of a file."""

    size: int
    sha256: str


def read_lock(path: Path) -> dict[str, Recorded]:
    """What was recorded, by the file's place in the folder of weights.

    Raises:
        InputError: it is no such record.
    """
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))["sets"]
        return {
            f"{folder}/{name}": Recorded(int(entry["size"]), str(entry["sha256"]))
            for folder, content in sets.items()
            for name, entry in content["files"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no record of weights ({error}); `make weights` writes it again") from None


def compare(job: Job, name: str, recorded: Recorded) -> Finding | None:
    """What differs; None if nothing does."""
    path, advice = job.weights_dir / name, "`make weights` gets it again"
    if not path.is_file():
        return fail(name, f"recorded, and not in {job.weights_dir}", advice)
    if (size := path.stat().st_size) != recorded.size:
        return fail(name, f"{size:,} bytes, recorded were {recorded.size:,}", advice)
    if job.hashes and (found := sha256_file(path)) != recorded.sha256:
        return fail(name, f"sha256 {found[:12]}…, recorded was {recorded.sha256[:12]}…", advice)
    return None


def _check_diffueraser(job: Job) -> None:
    from lib.diffueraser.weight_files import WeightPaths, check_weights

    base, vae, eraser, pcm = (job.weights_dir / name for name in DIFFUERASER)
    check_weights(WeightPaths(base, vae, eraser, pcm, job.pcm_steps))


def _check_propainter(job: Job) -> None:
    from lib.propainter.weight_files import check_model_dir

    check_model_dir(job.weights_dir / PROPAINTER)


def _check_inpainting(job: Job) -> None:
    from lib.anchor.inpainting_files import find_model, inpainting_files

    inpainting_files(find_model(job.weights_dir / INPAINTING))


SETS = (
    WeightSet("DiffuEraser's weights", DIFFUERASER, ("diffueraser",), _check_diffueraser),
    WeightSet("ProPainter's weights", (PROPAINTER,), ("diffueraser", "propainter"), _check_propainter),
    WeightSet("anchor's weights", (INPAINTING,), ("diffueraser",), _check_inpainting),
)
