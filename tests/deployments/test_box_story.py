"""A night on an installed box: a server on PostgreSQL, workers, runs that are retried, cancelled and lost."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_box import ServerBox, kill_tree
from tests_support import Dataset, write_frames

from flows.report import Summary
from lib.scenes import render_scene

pytestmark = pytest.mark.slow
NAMES = ("bear", "car", "dog")


@pytest.fixture(scope="module")
def box(server_box: ServerBox) -> ServerBox:
    server_box.start_worker("gpu-pool", "gpu-worker")
    server_box.start_worker("caption-pool", "caption-worker")
    return server_box


def settings(data: Dataset, out: Path, **groups: dict[str, Any]) -> dict[str, Any]:
    roots = {"dataset": "davis", "video_root": str(data.videos), "mask_root": str(data.masks)}
    plain = {"input_output": {**roots, "output_dir": str(out)}, "engine": {"engine": "propagation"}}
    return {"settings": {**plain, **groups}}


def summary(out: Path) -> Summary:
    return Summary.model_validate_json((out / "summary.json").read_bytes())


def executed(out: Path) -> set[tuple[str, str]]:
    """(video, phase) of all that was not there before."""
    return {(v.name, phase.phase) for v in summary(out).videos for phase in v.phases if phase.status != "cached"}


def big_dataset(folder: Path, names: tuple[str, ...], frames: int = 40) -> Dataset:
    """Videos that take some seconds each."""
    data = Dataset(folder)
    scene = render_scene("pan", (240, 432), frames)
    for name in names:
        write_frames(data.videos / name, scene.frames)
        write_frames(data.masks / name, scene.masks.astype("uint8") * 255)
    return data


def test_all_deployments_are_there_and_setting_up_again_changes_nothing(box: ServerBox):
    again = box.set_up()
    assert "pools: all there" in again
    assert "automations: all there" in again
    names = {deployment["name"] for deployment in box.post("/deployments/filter")}
    assert names == {"auto-refine", "auto-refine-nightly", "auto-refine-shard", "remove", "study", "caption-videos"}
    nightly = box.api.get("/deployments/name/auto-refine-inbox/auto-refine-nightly").json()
    assert nightly["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    assert nightly["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert nightly["parameters"]["settings"]["inbox"]["inbox"] == str(box.folder / "inbox")


def test_the_nightly_hour_is_the_boxes_own(box: ServerBox):
    box.set_up(AUTO_REFINE_CRON="30 1 * * 1-5", AUTO_REFINE_TIMEZONE="Europe/Berlin")
    nightly = box.api.get("/deployments/name/auto-refine-inbox/auto-refine-nightly").json()
    [schedule] = nightly["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("30 1 * * 1-5", "Europe/Berlin")
    assert "AUTO_REFINE_CRON=every night" in box.set_up(code=2, AUTO_REFINE_CRON="every night")


def test_nobody_gets_in_without_the_password(box: ServerBox):
    for auth in (None, ("admin", "wrong")):
        assert httpx.get(f"{box.url}/flows/1", auth=auth).status_code == 401
        assert httpx.get(f"{box.url}/admin/version", auth=auth).status_code == 401


def test_wrong_parameters_are_refused_by_the_form(box: ServerBox, tmp_path: Path):
    deployment = box.api.get("/deployments/name/auto-refine/auto-refine").json()
    wrong = {"settings": {"input_output": {"output_dir": str(tmp_path)}, "engine": {"engine": "magic"}}}
    path = f"/deployments/{deployment['id']}/create_flow_run"
    answer = box.api.post(path, json={"parameters": wrong}, headers=box.headers())
    assert answer.status_code == 409
    assert "magic" in answer.text


def test_a_retry_does_only_what_failed(box: ServerBox, tmp_path: Path):
    data, out = Dataset(tmp_path / "data"), tmp_path / "out"
    for seed, name in enumerate(NAMES):
        data.add(name, seed)
    picture = next((data.videos / "car").iterdir())
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    run = box.trigger("auto-refine/auto-refine", settings(data, out), "by hand")
    assert box.wait_for_state(run, "Completed", "Failed", "Crashed") == "Failed"
    assert "1 of 3 videos failed: car" in box.flow_run(run)["state"]["message"]
    assert "car" in {v.name for v in summary(out).videos if v.status == "failed" and picture.name in v.reason}

    picture.write_bytes(whole)
    box.set_state(run, "SCHEDULED", "AwaitingRetry")
    box.wait_for("second try", lambda: box.flow_run(run)["run_count"] == 2, 120)
    assert box.wait_for_state(run, "Completed", "Failed", "Crashed") == "Completed"
    assert executed(out) == {("car", phase) for phase in ("coarse", "caption", "refine", "evaluate")}
    assert box.flow_run(run)["name"] == "auto-refine out"
    _assert_private(out)
    _assert_told(box, run, out)


def _assert_private(out: Path) -> None:
    for folder in (out / ".prefect", out / ".prefect" / "results"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def _assert_told(box: ServerBox, run: str, out: Path) -> None:
    """What the page of the run shows: links, a table, progress of each video, the captioner's log."""
    artifacts = box.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
    by_key = {artifact["key"]: artifact for artifact in artifacts}
    assert out.as_uri() in by_key["result-folder"]["data"]
    assert {row["video"] for row in json.loads(by_key["auto-refine-summary"]["data"])} == set(NAMES)
    logs = box.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
    said = [log["message"] for log in logs]
    assert any(line.startswith("car (") and ", by " in line for line in said), said  # in the caption environment
    names = {task["name"] for task in box.task_runs(run)}
    assert {f"{phase}-{name}" for phase in ("coarse", "caption", "refine") for name in NAMES} <= names


def test_a_night_takes_what_is_new_once(box: ServerBox, tmp_path: Path):
    data, inbox, outbox = Dataset(tmp_path / "data"), tmp_path / "inbox", tmp_path / "outbox"
    data.add("bear")
    for kind, source in {"video": data.videos, "mask": data.masks}.items():
        shutil.copytree(source / "bear", inbox / "bear" / kind)
    folders = {"inbox": str(inbox), "outbox": str(outbox), "settle_seconds": 1}
    night = {"settings": {"inbox": folders, "engine": {"engine": "propagation"}}}
    messages = []
    for name in ("first night", "second night"):
        run = box.trigger("auto-refine-inbox/auto-refine-nightly", night, name)
        assert box.wait_for_state(run, "Completed", "Failed", "Crashed") == "Completed"
        messages.append(box.flow_run(run)["state"]["message"])
    assert "1 of 1 videos have a result" in messages[0]
    assert "nothing new" in messages[1]
    assert (outbox / "final" / "bear" / "propagation.mp4").is_file()
    assert len(list((outbox / "reports").glob("*.html"))) == 1


def test_a_cancelled_run_leaves_no_process(box: ServerBox, tmp_path: Path):
    data, out = big_dataset(tmp_path / "data", NAMES), tmp_path / "out"
    idle = set(box.processes())
    run = box.trigger("auto-refine/auto-refine", settings(data, out, execution={"gpus": [0, 1]}), "to be cancelled")
    box.wait_for("work", lambda: list((out / ".prefect" / "results" / "locks").glob("coarse-*.lock")), 120)
    assert set(box.processes()) > idle
    box.set_state(run, "CANCELLING", "Cancelling")
    box.wait_for("end of all its processes", lambda: set(box.processes()) <= idle, 60)
    assert box.wait_for_state(run, "Cancelled", "Failed", "Crashed", "Completed", timeout=60) == "Cancelled"


def test_a_killed_workers_run_is_finished_by_the_automation(box: ServerBox, tmp_path: Path):
    """kill -9 of worker and run, as when a service dies; another worker is there, as systemd would see to."""
    data, out = big_dataset(tmp_path / "data", NAMES, frames=60), tmp_path / "out"
    run = box.trigger("auto-refine/auto-refine", settings(data, out), "to be lost")
    box.wait_for("work", lambda: list((out / ".prefect" / "results" / "locks").glob("refine-*.lock")), 180)
    kill_tree(box.worker("gpu-worker").pid)
    box.start_worker("gpu-pool", "gpu-worker")
    assert box.state(run) == "Running"  # nobody knows yet
    box.wait_for("second try", lambda: box.flow_run(run)["run_count"] == 2, 300)
    assert box.wait_for_state(run, "Completed", "Failed") == "Completed"
    assert "Crashed" in box.history(run)
    assert {phase for _, phase in executed(out)} == {"refine", "evaluate"}
    assert len(summary(out).videos) == 3


def test_no_password_is_told(box: ServerBox, tmp_path: Path):
    """After all that: not in arguments, logs, artifacts, parameters or result files."""
    secret = box.password.encode()
    arguments = [(Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in box.processes()]
    assert len(arguments) >= 3
    assert not [words for words in arguments if secret in words]
    files = [path for path in (*box.folder.glob("*.log"), *tmp_path.parent.rglob("*.json")) if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if secret in path.read_bytes()]
    for path in ("/artifacts/filter", "/logs/filter", "/flow_runs/filter", "/deployments/filter"):
        assert box.password not in json.dumps(box.post(path)), path
