"""Remove objects from videos in three phases: coarse removal, a caption of the background, refined removal.

    python flows/auto_refine.py --dataset davis --video_root V --mask_root M --output_dir O

Without a configured Prefect API the script first brings up a server and a caption worker of its own, then runs itself
again as their client (`lib/runtime/launcher.py`).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before prefect is imported: it reads its API's address only once
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the checkout instead of this folder
    from flows.launch import main

    sys.exit(main(sys.argv[1:]))

import time
from typing import Any

from prefect import flow
from prefect.client.schemas import State
from prefect.runtime import flow_run

from flows.batch import Batch
from flows.captions import write_sheet_of_files
from flows.ending import end_run
from flows.inputs import find_videos
from flows.judging import judge_results
from flows.report import summarise, summarise_skip
from flows.result_phases import look_at_results
from flows.shards import check_shards, run_shards, shard_summary, split
from flows.three_phases import ThreePhases
from lib.settings import AutoRefineSettings
from tasks.record_store import make_output_dir


def _run_name() -> str:
    settings = AutoRefineSettings.model_validate(flow_run.parameters["settings"])
    return f"auto-refine {settings.output_dir.name} {flow_run.parameters.get('shard', '')}".rstrip()


@flow(name="auto-refine", flow_run_name=_run_name, persist_result=False)
def auto_refine(settings: AutoRefineSettings, shard: str = "") -> State[Any]:
    """Coarse, caption and refine for every video; ends Failed with the names of the videos that failed.

    Args:
        settings: everything that the run needs to know.
        shard: leave it empty; a run that splits its batch says here which part this is.

    Raises:
        InputError: nothing can be done at all: no videos, no caption environment, weights missing.
    """
    settings = settings.with_absolute_paths()
    if settings.execution.shards:
        return _in_parts(settings)
    run = ThreePhases("auto-refine", Batch(settings))
    coarse_keys = run.coarse_phase()
    captioned = run.caption_phase(coarse_keys)
    refined = run.refine_phase(captioned)
    if settings.products.save_comparison:
        run.comparison_phase(refined, coarse_keys)
    results = {name: run.batch.result(job, key) for name, (job, key) in refined.items()}
    look_at_results(run, results)
    if settings.judge.judge:
        judge_results(run, results)
    return run.finish(shard_summary(settings.output_dir, flow_run.id) if shard else None)


def _in_parts(settings: AutoRefineSettings) -> State[Any]:
    """The batch as runs of other boxes' workers; this one only waits for them and tells the end."""
    started = time.monotonic()
    check_shards(settings)
    scan = find_videos(settings)
    make_output_dir(settings.output_dir)
    shards = split(settings, scan.videos)
    videos = [summarise_skip(item.name, item.reason) for item in scan.unmatched] + run_shards(shards)
    write_sheet_of_files(settings, videos)
    summary = summarise(videos, settings, time.monotonic() - started, str(flow_run.id))
    return end_run("auto-refine", settings, summary)
