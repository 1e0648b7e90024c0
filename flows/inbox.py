"""A night: what is new and whole in the inbox goes through all phases; results and a report go to the outbox.

    python flows/inbox.py --inbox I --outbox O

Started by the schedule of a GPU box (deployment auto-refine-nightly), or by hand as above.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before prefect is imported: it reads its API's address only once
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the checkout instead of this folder
    from flows.inbox_program import main

    sys.exit(main(sys.argv[1:]))

from typing import Any

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import ValidationError

from flows.auto_refine import auto_refine
from flows.report import SUMMARY_FILE, Summary
from flows.run_page import local_time, result_file, write_page_of
from lib.inbox.ledger import Ledger, LedgerBusyError, open_ledger
from lib.inbox.scan import InboxScan, scan_inbox
from lib.report.run_page import LeftRow
from lib.settings.inbox import InboxSettings
from tasks.record_store import make_output_dir

REPORTS = "reports"


def _run_name() -> str:
    return f"inbox {local_time(flow_run.scheduled_start_time):%Y-%m-%d %H:%M}"


@flow(name="auto-refine-inbox", flow_run_name=_run_name, persist_result=False)
def auto_refine_inbox(settings: InboxSettings) -> State[Any]:
    """Take what is new and whole in the inbox through all phases; ends Failed with the names of the videos that failed.

    Args:
        settings: which folders, and what auto-refine needs to know.

    Raises:
        InputError: nothing can be done at all: no inbox, no caption environment, weights missing.
    """
    settings = settings.with_absolute_paths()
    make_output_dir(settings.output_dir)
    try:
        with open_ledger(settings.output_dir, f"{flow_run.name}, run {flow_run.id}") as ledger:
            return _night(settings, ledger)
    except LedgerBusyError as error:
        return _nothing(f"nothing done: {error}")


inbox = auto_refine_inbox  # under the name of its module, as flows/launch.py looks for a script's flow


def _night(settings: InboxSettings, ledger: Ledger) -> State[Any]:
    scan = scan_inbox(settings.inbox, ledger)
    _tell(scan)
    if not scan.ready:
        return _nothing(f"nothing new: {scan.text()}")
    ledger.take({item.name: item.identity for item in scan.ready}, str(flow_run.id))
    state = auto_refine(settings.run_settings([item.name for item in scan.ready]), return_state=True)
    summary = _summary_of(state, settings)
    if summary is None:  # it did not even begin, or broke down: all of them are taken again
        error = state.result(raise_on_failure=False)
        raise error if isinstance(error, Exception) else RuntimeError(state.message)
    _settle(ledger, summary)
    _report(summary, scan)
    message = f"{state.message}; {scan.text()}" if scan.left else f"{state.message}"
    return Completed(message=message) if state.is_completed() else Failed(message=message)


def _nothing(message: str) -> State[Any]:
    print(message, flush=True)
    return Completed(message=message)


def _tell(scan: InboxScan) -> None:
    """Say what is taken and what is not, on the terminal and in the UI."""
    lines = [f"{'inbox':<10} {item.name} taken: {item.why}" for item in scan.ready]
    lines += [f"{'inbox':<10} {item.name} left: {item.kind}: {item.reason}" for item in scan.left]
    for line in lines:
        print(line, flush=True)
        get_run_logger().info("%s", line)


def _summary_of(state: State[Any], settings: InboxSettings) -> Summary | None:
    """What that run has left; None if it has left nothing."""
    try:
        summary = Summary.model_validate_json((settings.output_dir / SUMMARY_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return summary if summary.flow_run == str(state.state_details.flow_run_id) else None


def _settle(ledger: Ledger, summary: Summary) -> None:
    ended = [video for video in summary.videos if video.status in ("done", "cached")]
    failed = [video for video in summary.videos if video.status not in ("done", "cached")]
    ledger.settle(
        {video.name: str(result_file(summary.settings, video.name)) for video in ended},
        {video.name: f"{video.phase}: {video.reason}" for video in failed},
    )


def _report(summary: Summary, scan: InboxScan) -> None:
    """The page of this night; the night is not lost if it cannot be written."""
    path = summary.settings.output_dir / REPORTS / f"{local_time():%Y-%m-%d_%H%M%S}.html"
    left = [LeftRow(item.name, item.kind, item.reason) for item in scan.left]
    remarks = [f"{len(scan.done)} videos were done before and have not changed."] if scan.done else []
    try:
        write_page_of(summary, path, f"{flow_run.name}", left=left, remarks=remarks)
    except OSError as error:
        get_run_logger().warning("%s: the report cannot be written (%s)", path, error.strerror)
        return
    create_link_artifact(path.as_uri(), link_text="report", key="inbox-report", description=str(path))
    print(f"report: {path}", flush=True)
