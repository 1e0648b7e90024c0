"""`python -m lib.captioner`: caption videos by hand, in the caption environment, without the rest of the project."""

from __future__ import annotations

import io
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.captioner.backend import Caption, Captioner, CaptionerOptions, CaptionPicture, load_captioner
from lib.captioner.command_line import captioner_options, folder_jobs, parse_arguments, single_job
from lib.captioner.folders import LeftOut
from lib.captioner.jobs import CaptionJob, run_caption_job
from lib.captioner.prompt_file import check_place
from lib.errors import InputError

if TYPE_CHECKING:
    import numpy as np

INTERRUPTED = 130  # as shells say it of ctrl-C
_SHOWN_FACTS = ("device", "dtype", "attention")


class CaptionerNotLoadedError(InputError):
    """The captioner itself cannot be had, whatever the video."""


class LoadedWhenAsked:
    """A captioner that is loaded for the first picture it is shown, so never where nothing is to do."""

    def __init__(self, options: CaptionerOptions) -> None:
        self._options = options
        self._loaded: Captioner | None = None
        self.name = options.backend

    def facts(self) -> dict[str, str]:
        """How it runs.

        Raises:
            CaptionerNotLoadedError: it cannot be loaded.
        """
        return self._captioner().facts()

    def describe(self, pictures: Sequence[CaptionPicture], object_picture: np.ndarray | None = None) -> Caption:
        """As the captioner does it.

        Raises:
            CaptionerNotLoadedError: it cannot be loaded.
        """
        return self._captioner().describe(pictures, object_picture)

    def _captioner(self) -> Captioner:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> Captioner:
        options, started = self._options, time.monotonic()
        if options.model_path:
            _say(f"loading {options.model_path}")
        try:
            loaded = load_captioner(options)
        except Exception as error:  # whatever it is, it would be the same for the next video
            raise CaptionerNotLoadedError(_why_not_loaded(error)) from error
        if options.model_path:
            facts = [value for name, value in loaded.facts().items() if name in _SHOWN_FACTS]
            _say(f"loaded {loaded.name} ({', '.join([*facts, f'{time.monotonic() - started:.1f} s'])})")
        return loaded


def main(arguments: Sequence[str] | None = None) -> int:
    """Caption; returns 0, or 1 if a video failed or nothing could begin, or 130 after ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names and sentences need not fit the terminal
    given = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        captioner = LoadedWhenAsked(captioner_options(given))
        if given.video_root is None:
            return _caption_one(single_job(given), captioner)
        return _caption_all(*folder_jobs(given), captioner)
    except InputError as error:
        _complain(f"error: {_own_flags(str(error))}")
    except OSError as error:
        _complain(f"error: {_reason(error)}")
    except KeyboardInterrupt:
        _complain("interrupted; prompt files that are written stay, the same command does the rest")
        return INTERRUPTED
    return 1


def _caption_one(job: CaptionJob, captioner: LoadedWhenAsked) -> int:
    record = _run(job, captioner)
    if record["status"] == "kept":
        edited = ", edited by a person" if record["source"] == "manual" else ""
        _say(f"[SKIP] YAML already contains prompt. Use --force to overwrite. ({job.output_yaml}{edited})")
        return 0
    if record["backup"]:
        _say(f"the file that was there is kept as {record['backup']}")
    _say(f"{record['path']}: {record['prompt']}{_look_at(record)}")
    return 0


def _caption_all(jobs: Sequence[CaptionJob], left_out: Sequence[LeftOut], captioner: LoadedWhenAsked) -> int:
    """Every video on its own: what goes wrong with one costs only this one."""
    for entry in left_out:
        _say(f"{entry.name}: skipped: {entry.reason}")
    counts = Counter(skipped=len(left_out))
    for number, job in enumerate(jobs, 1):
        place = f"[{number}/{len(jobs)}] {job.name}"
        try:
            record = _run(job, captioner)
        except CaptionerNotLoadedError:
            _say(_summary(counts, len(jobs) - number + 1))
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model or a file raises
            counts["failed"] += 1
            _complain(f"{place}: failed: {_reason(error)}")
        else:
            counts["skipped" if record["status"] == "kept" else "written"] += 1
            _say(f"{place}: {_outcome(record)}")
    _say(_summary(counts, 0))
    return 1 if counts["failed"] else 0


def _run(job: CaptionJob, captioner: LoadedWhenAsked) -> dict[str, Any]:
    check_place(job.yaml_path)  # also with --force, and before a model works for nothing
    try:
        return run_caption_job(job, captioner)
    except ImportError as error:  # from reading the pictures: the captioner's own are told by LoadedWhenAsked
        if (error.name or "").partition(".")[0] != "av":
            raise
        raise InputError(
            f"{job.video_path}: videos are read with PyAV, which cannot be imported ({error}); run: {sys.executable} "
            "-m pip install av (folders of frames and pictures need none)"
        ) from None


def _outcome(record: dict[str, Any]) -> str:
    if record["status"] == "kept":
        edited = ", edited by a person" if record["source"] == "manual" else ""
        return f"skipped: {record['path']} has a prompt{edited}; --force writes a new one"
    kept = f"; the file that was there is kept as {record['backup']}" if record["backup"] else ""
    return f"written: {record['prompt']}{_look_at(record)}{kept}"


def _look_at(record: dict[str, Any]) -> str:
    return f" (worth a look: {', '.join(record['flags'])})" if record["flags"] else ""


def _summary(counts: Counter[str], not_begun: int) -> str:
    parts = [f"{counts[kind]} {kind}" for kind in ("written", "skipped", "failed")]
    parts += [f"{not_begun} not begun"] if not_begun else []
    return f"{sum(counts.values()) + not_begun} videos: {', '.join(parts)}"


def _reason(error: Exception) -> str:
    """What went wrong, in one line; the traceback as well where it is none of the expected errors."""
    if isinstance(error, InputError):
        return _own_flags(str(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"


def _own_flags(advice: str) -> str:
    """Advice speaks of the flow's flags, `--caption_model_path`; here they bear no such beginning."""
    return advice.replace("--caption_", "--")


def _why_not_loaded(error: Exception) -> str:
    if isinstance(error, ImportError):
        found = f"{error}; a vision-language model needs: {sys.executable} -m pip install torch transformers"
    else:
        found = _reason(error)
    return f"{found}; or give --backend palette, which needs no model"


def _say(line: str) -> None:
    print(line, flush=True)


def _complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
