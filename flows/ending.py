"""What every run leaves at its end: summary.json, artifacts in Prefect's UI, a table on the terminal, its state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from flows.captions import SHEET_FILE
from flows.report import SUMMARY_FILE, Summary, table_rows, text_table, write_summary
from flows.report_page import data_set_means, write_report
from lib.errors import InputError, attempt
from lib.settings import RunSettings


def end_run(
    flow_name: str,
    settings: RunSettings,
    summary: Summary,
    path: Path | None = None,
    *,
    write_page: Callable[[Summary], Path] = write_report,
) -> State[Any]:
    """Say what became of every video; the flow's final state.

    Args:
        path: where the summary of a part of a run is written, which has no page.
        write_page: makes the run's page.
    """
    whole = path is None
    if whole and not settings.metrics.no_metrics:
        summary = summary.model_copy(update={"metrics": _means(summary)})
    path = write_summary(summary, path or settings.output_dir / SUMMARY_FILE)
    create_table_artifact(table_rows(summary), key=f"{flow_name}-summary", description=f"Written to {path}")
    _link(settings.output_dir, "result folder")
    if whole and (report := _page(summary, write_page)):
        _link(report, "report")
    if (page := settings.output_dir / SHEET_FILE).is_file():
        _link(page, "captions")
    print(text_table(summary), flush=True)
    return _final_state(summary, strict=settings.strict)


def _means(summary: Summary) -> dict[str, float]:
    means = attempt(lambda: data_set_means(summary), "their scores")
    if isinstance(means, InputError):
        get_run_logger().warning("no means over the videos: %s", means)
        return {}
    return means


def _page(summary: Summary, write_page: Callable[[Summary], Path]) -> Path | None:
    """The page, if it can be written: it is for people, and no reason to fail."""
    try:
        report = write_page(summary)
    except Exception as error:  # noqa: BLE001 (of whatever type: the videos have their results)
        said = str(error) if isinstance(error, OSError | InputError) else f"{type(error).__name__}: {error}"
        print(f"warning: the report cannot be written: {said}", flush=True)
        get_run_logger().warning("the report cannot be written: %s", said, exc_info=True)
        return None
    print(f"report: {report}", flush=True)
    return report


def _link(path: Path, what: str) -> None:
    """A link that works on the box itself; from elsewhere the path says where to look."""
    create_link_artifact(path.as_uri(), link_text=what, key=what.replace(" ", "-"), description=str(path))


def _final_state(summary: Summary, *, strict: bool) -> State[Any]:
    failed, skipped = summary.names("failed"), summary.names("skipped")
    count = len(summary.videos)
    if failed:
        return Failed(message=f"{len(failed)} of {count} videos failed: {', '.join(failed)}")
    if skipped and strict:
        return Failed(message=f"{len(skipped)} of {count} videos skipped: {', '.join(skipped)}")
    return Completed(message=f"{count - len(skipped)} of {count} videos have a result")
