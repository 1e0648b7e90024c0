"""One pass of object removal over a batch of videos, or over one: with an anchor, with text, with both or neither.

    python flows/remove.py --dataset davis --video_root V --mask_root M --save_path O --use_anchor --prompt "a wall"

| mode | --use_anchor | --use_text | the anchor's prompt | the main network's prompt |
|------|--------------|------------|---------------------|---------------------------|
| 1    | yes          | no         | as resolved         | none                      |
| 2    | yes          | yes        | as resolved         | the same                  |
| 3    | no           | no         | -                   | none                      |
| 4    | no           | yes        | -                   | as resolved               |
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before prefect is imported: it reads its API's address only once
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the checkout instead of this folder
    from flows.launch import REMOVE, main

    sys.exit(main(sys.argv[1:], REMOVE))

from functools import partial
from typing import Any

from prefect import flow
from prefect.client.schemas import State
from prefect.runtime import flow_run

from flows.remove_batch import RemoveBatch
from flows.result_phases import look_at_results
from flows.run import Run
from flows.slots import cpu_slots
from lib.settings import RemoveSettings
from tasks.comparison import comparison
from tasks.jobs import RemoveJob
from tasks.remove import remove as remove_task


def _run_name() -> str:
    settings = RemoveSettings.model_validate(flow_run.parameters["settings"])
    return f"remove {settings.output_dir.name}"


@flow(name="remove", flow_run_name=_run_name, persist_result=False)
def remove(settings: RemoveSettings) -> State[Any]:
    """Remove the object from every video; ends Failed with the names of the videos that failed.

    Raises:
        InputError: nothing can be done at all: no videos, weights or the promised prompt missing.
    """
    batch = RemoveBatch(settings.with_absolute_paths())
    batch.check()
    run = _RemoveRun("remove", batch)
    removed = run.remove_phase()
    if settings.products.save_comparison:
        run.run_phase(
            comparison, [batch.comparison(job, job.cache_key) for job in removed], slots=cpu_slots(len(run.slots))
        )
    look_at_results(run, {job.video.name: batch.result(job, job.cache_key) for job in removed})
    return run.finish()


class _RemoveRun(Run[RemoveBatch]):
    def remove_phase(self) -> list[RemoveJob]:
        """The jobs of the videos that have a result."""
        found = [
            self.made(video.name, RemoveJob.phase, partial(self.batch.remove, video, prints))
            for video, prints in self.read_inputs()
        ]
        jobs = [job for job in found if job]
        control, timeout = self.settings.control, self.settings.execution.timeout
        outcomes = self.run_phase(remove_task, jobs, refresh=control.force, timeout=timeout)
        return [job for job in jobs if outcomes[job.video.name].succeeded]
