"""Every weight file: there, whole, the right one (the engines' own checks), and as recorded when it was downloaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deployments.checks.finding import Finding, fail, failures, ok, skip
from deployments.checks.job import Job
from lib.anchor.inpainting_files import HUB_MODEL, find_model, inpainting_files
from lib.diffueraser.weight_files import WeightPaths, check_weights
from lib.errors import InputError
from lib.metrics.networks.weights import MetricWeights
from lib.propainter.weight_files import check_model_dir
from lib.runtime.fingerprints import sha256_file
from lib.settings.engines import METRIC_WEIGHTS, METRICS_FOLDER, WEIGHT_FOLDERS

LOCK_FILE = "weights.lock.json"


@dataclass(frozen=True)
class WeightSet:
    """One row of README's table of weights, or those rows that one engine takes together."""

    name: str
    settings: tuple[str, ...]  # whose folders it lies in
    engines: tuple[str, ...]  # that need it
    check: Callable[[Job], str]  # says what is fine, or raises InputError


def check_weight_sets(job: Job) -> Iterator[Finding]:
    """Reads headers only, but for `--hashes`."""
    for weights in SETS:
        yield from check_set(weights, job)
    yield from check_caption_model(job)
    yield from check_metrics(job)
    yield from check_lock(job)


def check_set(weights: WeightSet, job: Job) -> Iterator[Finding]:
    whole = all(folder_of(setting, job).is_dir() for setting in weights.settings)
    if job.engine not in weights.engines and not whole:
        yield skip(weights.name, f"--engine {job.engine} does not need them")
        return
    try:
        fine = weights.check(job)
    except InputError as error:
        yield from failures(weights.name, error)
    except OSError as error:
        yield fail(weights.name, f"{error.filename}: cannot be read ({error.strerror})", "check its permissions")
    else:
        yield ok(weights.name, fine)


def check_caption_model(job: Job) -> Iterator[Finding]:
    what = "caption model"
    if not job.captions_by_model:
        yield skip(what, "captions are made by palette, which needs none")
        return
    from lib.captioner.model.files import find_model as find_captioner

    try:
        files = find_captioner(caption_model(job))
    except InputError as error:
        yield from failures(what, error)
    else:
        kind = f"{files.model_type}{', ' + files.quantisation if files.quantisation else ''}"
        yield ok(what, f"{files.folder}: {files.name} ({kind}), whole")


def caption_model(job: Job) -> str:
    """As given, else the one in the folder of weights, else the default's name on the hub."""
    from lib.captioner.backend import DEFAULT_MODEL

    local = folder_of("caption_model_path", job)
    return job.caption_model or (str(local) if local.is_dir() else DEFAULT_MODEL)


def check_metrics(job: Job) -> Iterator[Finding]:
    """Networks that results are measured by; a run measures without those that are not there."""
    what = "metrics' weights"
    places = {setting: job.weights_dir / place for setting, place in METRIC_WEIGHTS.items()}
    there = {setting.removesuffix("_path"): path for setting, path in places.items() if path.exists()}
    if not there:
        yield skip(what, "none: LPIPS, VFID and temporal consistency are left out (`make weights WEIGHTS=--metrics`)")
        return
    try:
        MetricWeights(**there).check()
    except InputError as error:
        yield from failures(what, error)
    else:
        yield ok(what, f"{', '.join(there)} in {job.weights_dir / METRICS_FOLDER}: whole")


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


def folder_of(setting: str, job: Job) -> Path:
    """As `--weights_dir` has it."""
    return job.weights_dir / WEIGHT_FOLDERS[setting]


def _check_diffueraser(job: Job) -> str:
    base, vae, eraser, pcm = (folder_of(setting, job) for setting in _DIFFUERASER)
    check_weights(WeightPaths(base, vae, eraser, pcm, job.pcm_steps))
    return f"{', '.join(path.name for path in (base, vae, eraser, pcm))} in {job.weights_dir}: keys and shapes fit"


def _check_propainter(job: Job) -> str:
    folder = folder_of(_PROPAINTER, job)
    check_model_dir(folder)
    return f"{folder}: whole (their keys are checked when they are loaded)"


def _check_inpainting(job: Job) -> str:
    folder = folder_of(_INPAINTING, job)
    found = find_model(folder if folder.is_dir() else HUB_MODEL)  # the hub's cache may have it
    inpainting_files(found)
    return f"{found}: whole"


_DIFFUERASER = ("base_model_path", "vae_path", "diffueraser_path", "pcm_weights_path")
_PROPAINTER, _INPAINTING = "propainter_model_dir", "anchor_model_path"
SETS = (
    WeightSet("DiffuEraser's weights", _DIFFUERASER, ("diffueraser",), _check_diffueraser),
    WeightSet("ProPainter's weights", (_PROPAINTER,), ("diffueraser", "propainter"), _check_propainter),
    WeightSet("anchor's weights", (_INPAINTING,), ("diffueraser",), _check_inpainting),
)
