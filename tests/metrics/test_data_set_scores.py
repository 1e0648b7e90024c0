"""Numbers of a whole data set from those of its videos."""

from pathlib import Path

import numpy as np
import pytest

from lib.errors import InputError
from lib.metrics.data_set import DataSetScores, data_set_scores
from lib.metrics.networks.frechet import frechet_distance
from lib.metrics.scores import Scores


def scores(frames: int = 10, protocol: str = "plain", missing: dict[str, str] | None = None, **values: float) -> Scores:
    return Scores(protocol=protocol, frames=frames, values=values, unavailable=missing or {})


def features(folder: Path, name: str, *arrays: str) -> Path:
    rng = np.random.default_rng(len(name))
    path = folder / f"{name}.npz"
    np.savez(path, **{array: rng.normal(size=4) for array in arrays})
    return path


BOTH = ("i3d_result", "i3d_truth")


@pytest.mark.parametrize(("protocol", "psnr"), [("plain", 30.0), ("propainter", 25.0)])
def test_means_weigh_videos_alike_or_by_frames(protocol, psnr):
    videos = {"long": scores(30, protocol, psnr=20.0), "short": scores(10, protocol, psnr=40.0, ssim=0.5)}
    found = data_set_scores(videos)
    assert found.means == {"psnr": psnr, "ssim": 0.5}
    assert found.counts == {"psnr": 2, "ssim": 1}


def test_a_number_that_some_videos_have_is_not_unavailable():
    videos = {"one": scores(missing={"psnr": "no ground truth", "vfid": "x"}), "two": scores(psnr=30.0)}
    found = data_set_scores(videos)
    assert found.means == {"psnr": 30.0} and "psnr" not in found.unavailable
    assert "lpips" not in found.unavailable


def test_without_scores_there_is_nothing_to_say():
    assert data_set_scores({}) == DataSetScores()


def test_vfid_is_of_the_videos_that_have_it(tmp_path):
    videos = {name: scores() for name in ("a", "bb", "ccc")} | {"none": scores(missing={"vfid": "no ground truth"})}
    files = {name: features(tmp_path, name, *BOTH) for name in ("a", "bb", "ccc")}
    found = data_set_scores(videos, files)
    sides = [np.stack([np.load(path)[side] for path in files.values()]) for side in BOTH]
    assert found.means["vfid"] == pytest.approx(frechet_distance(*sides))
    assert found.counts["vfid"] == 3 and "vfid" not in found.unavailable
    assert "rank 2" in found.notes[0]


def test_features_of_earlier_runs_are_left_alone(tmp_path):
    left_out = scores(missing={"vfid": "left out (--skip_vfid)"})
    files = {name: features(tmp_path, name, *BOTH) for name in ("a", "bb")}
    found = data_set_scores(dict.fromkeys(files, left_out), files)
    assert found.means == {} and found.unavailable == {"vfid": "left out (--skip_vfid)"}
    assert data_set_scores({}, files) == DataSetScores()


def test_one_video_has_no_vfid(tmp_path):
    files = {"a": features(tmp_path, "a", *BOTH), "bb": features(tmp_path, "bb", "i3d_result")}
    found = data_set_scores(dict.fromkeys(files, scores()), files)
    assert "vfid" not in found.means and "found 1 with features" in found.unavailable["vfid"]


def test_broken_features_are_named(tmp_path):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"no numbers")
    with pytest.raises(InputError, match=r"broken\.npz: holds no features of a metric"):
        data_set_scores({"a": scores()}, {"a": broken})
