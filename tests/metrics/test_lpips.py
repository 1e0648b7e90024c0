"""LPIPS against its formula (Zhang et al. 2018, equation 1), written out."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from metric_checkpoints import TINY_CHANNELS, write_lpips

from lib.errors import InputError
from lib.metrics.moment import Moment
from lib.metrics.networks import lpips as lpips_module
from lib.metrics.networks.lpips import Lpips, LpipsMetric, LpipsParams
from lib.metrics.networks.weights import BACKBONE_FILE, HEADS_FILE, PUBLISHED_HEADS_FILE

TINY = LpipsParams(TINY_CHANNELS)
CPU = torch.device("cpu")


def _frames(count: int, seed: int, height: int = 64, width: int = 72) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def _moments(results: np.ndarray, truths: np.ndarray) -> list[Moment]:
    hole = np.zeros(results.shape[1:3], bool)
    return [Moment(n, one, one, other, hole, ~hole) for n, (one, other) in enumerate(zip(results, truths, strict=True))]


def _written_out(folder: Path, one: np.ndarray, other: np.ndarray) -> float:
    """The sum over layers of the mean over pixels of w · (ŷ - ŷ0)²."""
    backbone, heads = torch.load(folder / BACKBONE_FILE), torch.load(folder / HEADS_FILE)

    def layers(frame: np.ndarray) -> list[torch.Tensor]:
        picture = torch.tensor(frame.tolist()).permute(2, 0, 1)[None] / 127.5 - 1
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x = (picture - shift[:, None, None]) / scale[:, None, None]
        found = []
        for name, stride, padding in (("0", 4, 2), ("3", 1, 2), ("6", 1, 1), ("8", 1, 1), ("10", 1, 1)):
            if name in "36":
                x = F.max_pool2d(x, kernel_size=3, stride=2)
            weight, bias = backbone[f"features.{name}.weight"], backbone[f"features.{name}.bias"]
            x = torch.clamp(F.conv2d(x, weight, bias, stride, padding), min=0)
            found.append(x[0])
        return found

    total = 0.0
    for number, (a, b) in enumerate(zip(layers(one), layers(other), strict=True)):
        weights = heads[f"lin{number}.model.1.weight"].flatten()
        for row in range(a.shape[1]):
            for column in range(a.shape[2]):
                p, q = a[:, row, column], b[:, row, column]
                gap = p / (p.norm() + 1e-10) - q / (q.norm() + 1e-10)
                total += float((weights * gap**2).sum()) / (a.shape[1] * a.shape[2])
    return total


def test_against_the_formula(tmp_path):
    folder = write_lpips(tmp_path, TINY)
    results, truths = _frames(3, 1), _frames(3, 2)
    metric = LpipsMetric(Lpips.load(folder, TINY), CPU)
    for moment in _moments(results, truths):
        metric.add(moment)
    expected = np.mean([_written_out(folder, one, other) for one, other in zip(results, truths, strict=True)])
    assert expected > 0.01
    assert metric.values()["lpips"] == pytest.approx(expected, rel=1e-4)


def test_equal_frames_have_no_distance_and_batches_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(lpips_module, "_BATCH_PIXELS", 4 * 64 * 72 + 1)
    net = Lpips.load(write_lpips(tmp_path, TINY), TINY)
    results, truths = _frames(11, 3), _frames(11, 4)  # three batches, the last not full
    whole, same = LpipsMetric(net, CPU), LpipsMetric(net, CPU)
    single = []
    for moment, equal in zip(_moments(results, truths), _moments(results, results), strict=True):
        whole.add(moment)
        same.add(equal)
        alone = LpipsMetric(net, CPU)
        alone.add(moment)
        single.append(alone.values()["lpips"])
    assert same.values() == {"lpips": 0}
    assert whole.values()["lpips"] == pytest.approx(np.mean(single), rel=1e-5)


def test_published_sizes_and_names_load(tmp_path):
    folder = write_lpips(tmp_path)
    (folder / HEADS_FILE).rename(folder / PUBLISHED_HEADS_FILE)
    net = Lpips.load(folder)
    assert net(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)).item() > 0


def test_files_that_do_not_fit_say_so(tmp_path):
    folder = write_lpips(tmp_path, TINY)
    with pytest.raises(InputError, match=r"alexnet-owt.*of another shape"):
        Lpips.load(folder)
    (folder / HEADS_FILE).write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"lpips_alex\.pth: cannot be read as weights"):
        Lpips.load(folder, TINY)


@pytest.mark.parametrize("content", [b"", b"<html>", b"version https://git-lfs.github.com/spec/v1", b"\x80\x02", None])
def test_damaged_files_say_so(tmp_path, content):
    folder = write_lpips(tmp_path, TINY)
    old = folder / BACKBONE_FILE
    torch.save(torch.load(old), old, _use_new_zipfile_serialization=False)
    old.write_bytes(old.read_bytes()[:200] if content is None else content)
    with pytest.raises(InputError, match=r"alexnet-owt.*cannot be read as weights \(.+\); fetch it again"):
        Lpips.load(folder, TINY)


def _measured(folder: Path, height: int, width: int) -> LpipsMetric:
    metric = LpipsMetric(Lpips.load(folder, TINY), CPU)
    for moment in _moments(_frames(1, 1, height, width), _frames(1, 2, height, width)):
        metric.add(moment)
    return metric


def test_frames_too_small_for_the_network_are_a_reason(tmp_path):
    folder = write_lpips(tmp_path, TINY)
    assert _measured(folder, 31, 40).values()["lpips"] > 0
    metric = _measured(folder, 30, 40)
    assert not metric.values()
    assert "40x30" in metric.unavailable()["lpips"]
