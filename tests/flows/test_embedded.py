"""The command as a user runs it: own server, caption pool, process pools; and other caption environments."""

import os
import sqlite3
import sys
from pathlib import Path

import pytest
import yaml
from embedded_support import Command, link_environment, run_command, stored_records, wait_until
from stand_in_conda import write_stand_in_conda
from tests_support import CAPTION, Dataset
from tiny_vlms import write_tiny_vlm

from flows.report import Summary


class Finished:
    """A data set of two, run to the end with captions by a model in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.dataset = Dataset(folder / "data")
        self.dataset.add("bear", 1)
        self.dataset.add("två björnar", 2)
        self.caption_prefix = folder / "caption env"
        self.out = folder / "out"
        python = link_environment(self.caption_prefix)
        self.model = write_tiny_vlm(folder / "Tiny-VL", says=CAPTION)
        flags = self.dataset.flags(self.out)
        self.words = [*flags, "--caption_env", str(python), "--caption_model_path", str(self.model)]
        self.command = run_command(self.words, self.out)

    def summary(self) -> Summary:
        return Summary.model_validate_json((self.out / "summary.json").read_bytes())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished(tmp_path_factory.mktemp("embedded"))


def query(out: Path, text: str) -> list[tuple]:
    with sqlite3.connect(f"file:{out / '.prefect' / 'prefect.db'}?mode=ro", uri=True) as database:
        return database.execute(text).fetchall()


def test_it_finishes_and_leaves_no_process_behind(finished):
    assert finished.command.process.returncode == 0, finished.command.text()
    assert finished.summary().counts["done"] == 2
    finished.command.assert_nothing_left()


def test_the_caption_run_is_a_flow_run_of_the_caption_pool_in_another_environment(finished):
    runs = query(
        finished.out,
        "select flow_run.name, state_type, work_pool.name from flow_run"
        " join work_queue on work_queue.id = flow_run.work_queue_id"
        " join work_pool on work_pool.id = work_queue.work_pool_id",
    )
    assert runs == [("caption x2", "COMPLETED", "caption-pool")]
    for path in (finished.out / "prompt_cache").glob("*.yaml"):
        told = yaml.safe_load(path.read_text())
        assert told["prompt_environment"] == str(finished.caption_prefix) != sys.prefix
        assert (told["prompt"], told["prompt_source"]) == ([CAPTION], "auto_masked")


def test_each_process_does_its_own_part(finished):
    pids: dict[str, set[int]] = {}
    for record in stored_records(finished.out):
        pids.setdefault(record.phase, set()).add(int(record.facts["pid"]))
    assert set(pids) == {"coarse", "caption", "refine", "preview", "evaluate"}
    assert len(pids["caption"]) == 1
    assert pids["coarse"].isdisjoint(pids["refine"] | pids["caption"])
    assert pids["refine"].isdisjoint(pids["caption"])


def test_a_second_run_is_served_from_the_cache(finished):
    again = run_command(finished.words, finished.out)
    assert again.process.returncode == 0, again.text()
    assert finished.summary().counts == {"done": 0, "cached": 2, "failed": 0, "skipped": 0}
    states = query(finished.out, "select state_name, count(*) from task_run group by state_name")
    assert dict(states)["Cached"] == 10  # three phases of two videos, their numbers and previews


def test_a_conda_environment_without_prefect_runs_the_model_too(finished, tmp_path, monkeypatch):
    folder = tmp_path / "miniconda" / "envs" / "caption_env"
    link_environment(folder, without=("prefect*", "pydantic*", "av", "av-*", "cv2", "accelerate*"))
    conda = write_stand_in_conda(tmp_path / "conda", {"caption_env": folder})
    monkeypatch.setenv("PATH", f"{conda}:{os.environ['PATH']}")
    flags = ["--caption_env", "caption_env", "--caption_model_path", str(finished.model), "--video_names", "bear"]
    run = run_command([*finished.dataset.flags(tmp_path / "out"), *flags], tmp_path / "out")
    assert run.process.returncode == 0, run.text()
    told = yaml.safe_load((tmp_path / "out" / "prompt_cache" / "bear.yaml").read_text())
    assert (told["prompt"], told["prompt_environment"]) == ([CAPTION], str(folder))


def test_a_missing_caption_environment_is_told_before_any_work(finished, tmp_path):
    words = [*finished.dataset.flags(tmp_path / "out"), "--caption_env", "no_such_env"]
    run = run_command(words, tmp_path / "out")
    assert run.process.returncode == 2
    assert "Caption environment 'no_such_env' not found" in run.text()
    assert "Traceback" not in run.text()
    assert not (tmp_path / "out" / "phase1").exists()


def test_nothing_is_written_outside_the_output_directory(finished):
    made = {"data", "caption env", "Tiny-VL", "out", "out.log"}
    assert {path.name for path in finished.out.parent.iterdir()} == made


def test_two_runs_on_one_output_directory_do_not_meet(finished, tmp_path):
    first = Command(finished.words, finished.out)
    assert wait_until(lambda: first.stack() or None, 60)
    second = Command(finished.words, tmp_path / "unused")
    assert second.wait() == 2
    assert str(finished.out) in second.text()
    assert first.wait() == 0
