"""What happens when `flows/auto_refine.py` is called: parse, plan or run, answer with an exit code.

Imports prefect only in the process that runs the flow.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deployments import CAPTION_POOL
from flows.batch import Batch, check_readiness, find_videos
from flows.command_line import RunOptions, complain, parse
from lib.errors import InputError
from lib.runtime.launcher import api_configured, is_flow_process, run_embedded, wait_for_stack
from lib.settings import AutoRefineSettings

SCRIPT = Path(__file__).with_name("auto_refine.py")
EXIT_OK = 0
EXIT_VIDEOS_FAILED = 1
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 all well, 1 a video failed, 2 bad usage or input, 3 no server, 130 Ctrl-C, 143 SIGTERM."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        settings, options = parse(words)
        return _act(settings, options, words)
    except InputError as error:
        return complain(error)


def _act(settings: AutoRefineSettings, options: RunOptions, words: list[str]) -> int:
    if options.plan:
        from flows.plan import make_plan, plan_text

        print(plan_text(make_plan(settings)))
        return EXIT_OK
    if is_flow_process():
        return _run_flow(settings)
    find_videos(settings)
    check_readiness(Batch(settings))
    if api_configured():
        return _run_flow(settings)
    check_output_dir(settings.output_dir)
    return run_embedded(
        settings.output_dir / ".prefect",
        [str(SCRIPT), *words],
        pools=(CAPTION_POOL,),
        keep_ui=options.keep_ui,
        early_flow=True,
    )


def check_output_dir(path: Path) -> None:
    """Make the output directory, or say why it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be the output directory ({error.strerror}); give another --output_dir"
        ) from None
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: not writable; give another --output_dir")


def _run_flow(settings: AutoRefineSettings) -> int:
    # The flow prints what a person wants to know, failures included; Prefect's own lines are in the UI.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from flows.auto_refine import auto_refine

    wait_for_stack()
    try:
        state = auto_refine(settings, return_state=True)
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
