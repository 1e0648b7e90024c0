"""What happens when a script of `flows/` is called: parse, plan or run, answer with an exit code.

Imports prefect only in the process that runs the flow.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from deployments import CAPTION_POOL
from flows.batch import Batch
from flows.command_line import AnySettings, RunOptions, complain, parse
from flows.inputs import find_videos
from flows.remove_batch import RemoveBatch
from flows.study_batch import StudyBatch
from lib.errors import InputError
from lib.runtime.launcher import api_configured, is_flow_process, run_embedded, wait_for_stack
from lib.settings import AutoRefineSettings, RemoveSettings
from lib.settings.study import StudySettings

EXIT_OK = 0
EXIT_VIDEOS_FAILED = 1
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Program:
    """A script and what it runs."""

    name: str  # of its module in flows/, and of the flow in it
    settings: type[AnySettings]
    check: Callable[[Any], object]  # raises InputError if the settings cannot work
    pools: tuple[str, ...]  # that its flow hands work to

    @property
    def script(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.py")

    @property
    def flow(self) -> Any:
        return getattr(import_module(f"flows.{self.name}"), self.name)


AUTO_REFINE = Program("auto_refine", AutoRefineSettings, lambda settings: Batch(settings).check(), (CAPTION_POOL,))
REMOVE = Program("remove", RemoveSettings, lambda settings: RemoveBatch(settings).check(), ())
STUDY = Program("study", StudySettings, lambda settings: StudyBatch(settings).check(), (CAPTION_POOL,))


def main(argv: Sequence[str] | None = None, program: Program = AUTO_REFINE) -> int:
    """Exit code: 0 all well, 1 a video failed, 2 bad usage or input, 3 no server, 130 Ctrl-C, 143 SIGTERM."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        settings, options = parse(words, program.settings)
        return _act(program, settings, options, words)
    except InputError as error:
        return complain(error)


def _act(program: Program, settings: Any, options: RunOptions, words: list[str]) -> int:
    if options.plan:
        from flows.plan import make_plan, plan_text

        print(plan_text(make_plan(settings)))
        return EXIT_OK
    if is_flow_process():
        return run_flow(program, settings)
    find_videos(settings)
    if isinstance(settings, AutoRefineSettings) and settings.execution.shards:
        _require_api()  # the boxes that do the work check what they need
        return run_flow(program, settings)
    program.check(settings)
    if api_configured():
        return run_flow(program, settings)
    check_output_dir(settings.output_dir)
    return run_embedded(
        settings.output_dir / ".prefect",
        [str(program.script), *words],
        pools=program.pools,
        keep_ui=options.keep_ui,
        early_flow=True,
        allowed_hosts=options.allowed_hosts,
    )


def _require_api() -> None:
    if not api_configured():
        raise InputError(
            "--shards hands parts of the batch to workers of a Prefect server; found no PREFECT_API_URL and no profile "
            "with one: set it, or leave --shards out"
        )


def check_output_dir(path: Path) -> None:
    """Make the output directory, or say why it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be the output directory ({error.strerror}); give another --output_dir or --save_path"
        ) from None
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: not writable; give another --output_dir or --save_path")


def run_flow(program: Program, settings: AnySettings) -> int:
    """Run the program's flow here, as a client of the API that there is; its exit code."""
    # The flow prints what a person wants to know, failures included; Prefect's own lines are in the UI.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    flow = program.flow
    wait_for_stack()
    try:
        state = flow(settings, return_state=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    if state.is_completed():
        return EXIT_OK
    error = state.result(raise_on_failure=False)
    if isinstance(error, InputError):
        return complain(error)
    print(state.message, file=sys.stderr)
    return EXIT_VIDEOS_FAILED
