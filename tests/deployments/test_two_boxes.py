"""Two boxes on one server: a batch in parts, one box dies in the middle, the other does its share; nothing twice."""

from collections import Counter
from pathlib import Path

import pytest
from server_box import ServerBox, kill_tree
from test_box_story import big_dataset, settings, summary

pytestmark = pytest.mark.slow
NAMES = tuple(f"video{n}" for n in range(8))


def start_box(server: ServerBox, name: str, folder: Path) -> list[int]:
    """What runs on one box: a worker for parts, one at a time, and one for its own captions."""
    own = {"AUTO_REFINE_CAPTION_POOL": f"caption-pool-{name}", "XDG_CACHE_HOME": str(folder / name / "cache")}
    work = folder / name / "work"
    work.mkdir(parents=True)
    server.run_tool("-m", "deployments.server_setup", "--joining", **own)
    return [
        server.start_worker("shard-pool", f"{name}-shards", "--limit", "1", **own).pid,
        server.start_worker(f"caption-pool-{name}", f"{name}-captions", **own).pid,
    ]


def test_what_a_dead_box_leaves_the_other_does(server_box: ServerBox, tmp_path: Path):
    data, out = big_dataset(tmp_path / "data", NAMES), tmp_path / "out"
    boxes = {name: start_box(server_box, name, tmp_path) for name in ("left", "right")}
    server_box.start_worker("gpu-pool", "head")
    execution = {"shards": 4, "gpus": [0, 1]}
    run = server_box.trigger("auto-refine/auto-refine", settings(data, out, execution=execution), "both boxes")
    locks = out / ".prefect" / "results" / "locks"
    server_box.wait_for("first results", lambda: len(list(locks.glob("coarse-*.lock"))) > 2, 180)
    on_left = server_box.wait_for("part at work on the left box", lambda: _parts(server_box, "left-shards"), 180)
    for pid in boxes["left"]:
        kill_tree(pid)

    assert server_box.wait_for_state(run, "Completed", "Failed", "Crashed", timeout=500) == "Completed"
    found = summary(out)
    assert [video.name for video in found.videos] == sorted(NAMES)
    assert {video.status for video in found.videos} <= {"done", "cached"}
    assert all((out / "final" / name / "propagation.mp4").is_file() for name in NAMES)
    assert {server_box.state(part) for part in on_left} >= {"Crashed"}
    done = Counter(
        task["name"]
        for task in server_box.task_runs(run)
        if task["state"]["name"] == "Completed" and task["name"].startswith(("coarse-video", "refine-video"))
    )
    assert done == Counter({f"{phase}-{name}": 1 for phase in ("coarse", "refine") for name in NAMES})


def _parts(box: ServerBox, worker: str) -> list[str]:
    """The runs of parts that this worker has begun."""
    query = {
        "deployments": {"name": {"any_": ["auto-refine-shard"]}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
    }
    log = (box.folder / f"{worker}.log").read_text(errors="replace")
    return [run["id"] for run in box.post("/flow_runs/filter", query) if run["id"] in log or run["name"] in log]
