"""Compare ways of removing the same objects over a data set: an ablation, a sweep of the text's weight, prompts.

    python flows/study.py --study ablation --dataset davis --video_root V --mask_root M --gt_root G --output_dir O

Variants share priors, anchors, captions and whatever else they have in common. The table (CSV and JSON), plots and the
page with all variants side by side go to `<output_dir>/study` and `<output_dir>/report`.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before prefect is imported: it reads its API's address only once
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the checkout instead of this folder
    from flows.launch import STUDY, main

    sys.exit(main(sys.argv[1:], STUDY))

from typing import Any

from prefect import flow
from prefect.client.schemas import State
from prefect.runtime import flow_run

from flows.study_batch import StudyBatch
from flows.study_report import write_study
from flows.study_run import StudyRun
from lib.settings.study import StudySettings


def _run_name() -> str:
    settings = StudySettings.model_validate(flow_run.parameters["settings"])
    return f"study {settings.study.study} {settings.output_dir.name}"


@flow(name="study", flow_run_name=_run_name, persist_result=False)
def study(settings: StudySettings) -> State[Any]:
    """Every variant of every video, each measured; ends Failed with the names of the videos that failed.

    Raises:
        InputError: nothing can be done at all: no videos, no caption environment, weights or prompts missing.
    """
    run = StudyRun(StudyBatch(settings.with_absolute_paths()))
    ends = run.run()
    return run.finish(write_page=lambda summary: write_study(run, ends, summary))
