"""Inputs that are replaced while they are worked on: nothing is kept under the old content's name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.removers.base import RemovalRequest, RemovalResult
from lib.removers.propagation import PropagationRemover


@pytest.mark.parametrize("which", ["videos", "masks"])
def test_a_video_replaced_while_it_is_worked_on_fails_and_is_done_by_the_next_run(
    run_flow, dataset, tmp_path, monkeypatch, which
):
    for name in ("bear", "goat"):
        dataset.add(name)
    target = getattr(dataset, which) / "bear" / "00003.png"
    original, works = PropagationRemover.remove, []

    def remove(self: PropagationRemover, request: RemovalRequest) -> RemovalResult:
        if request.video_name == "bear" and not works:
            works.append(1)
            _replace(target)
        return original(self, request)

    monkeypatch.setattr(PropagationRemover, "remove", remove)
    run = run_flow([*dataset.flags(tmp_path / "out"), "--no_metrics", "--task_retries", "0"])
    assert run.video("goat").status == "done"
    bear = run.video("bear")
    assert (bear.status, bear.phase) == ("failed", "coarse")
    assert f"{which}/bear: was changed while it was worked on" in bear.reason
    assert not (tmp_path / "out" / "phase1" / "bear" / "propagation.mp4").exists()
    again = run_flow([*dataset.flags(tmp_path / "out"), "--no_metrics"])
    assert again.video("bear").status == "done"
    assert again.video("goat").status == "cached"


def _replace(path: Path) -> None:
    picture = np.array(Image.open(path))
    Image.fromarray(picture[:, ::-1]).save(path)
