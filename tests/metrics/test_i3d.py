"""I3D: its file's layout, its padding, and the features that VFID takes."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from metric_checkpoints import write_i3d

from lib.errors import InputError
from lib.metrics.moment import Moment
from lib.metrics.networks import i3d_features
from lib.metrics.networks.i3d import I3d, pad_same
from lib.metrics.networks.i3d_features import I3dFeatures

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net(tmp_path_factory) -> I3d:
    return I3d.load(write_i3d(tmp_path_factory.mktemp("i3d") / "i3d_rgb_imagenet.pt"))


def test_the_published_layout():
    state = I3d().state_dict()
    assert state["Conv3d_1a_7x7.conv3d.weight"].shape == (64, 3, 7, 7, 7)
    assert state["Mixed_3b.b1b.conv3d.weight"].shape == (128, 96, 3, 3, 3)
    assert state["Mixed_5c.b0.bn.running_var"].shape == (384,)
    assert state["Mixed_5c.b3b.conv3d.weight"].shape == (128, 832, 1, 1, 1)
    convolutions = [key for key in state if key.endswith("conv3d.weight")]
    assert len(convolutions) == 3 + 9 * 6
    assert sum(parameter.numel() for parameter in I3d().parameters()) == pytest.approx(12.29e6, rel=1e-3)  # as known


@pytest.mark.parametrize(
    ("side", "window", "stride"), [(10, 7, 2), (9, 7, 2), (8, 3, 2), (7, 3, 1), (5, 2, 2), (4, 1, 1)]
)
def test_same_padding_as_defined(side, window, stride):
    """ceil(side / stride) windows; of an odd number of zeros the end gets one more."""
    wanted = math.ceil(side / stride)
    total = max((wanted - 1) * stride + window - side, 0)
    x = torch.arange(1.0, side + 1).view(1, 1, side, 1, 1)
    padded = pad_same(x, (window, 1, 1), (stride, 1, 1)).flatten()
    assert len(padded) == side + total
    assert (padded == 0).nonzero().flatten().tolist() == [
        *range(total // 2),
        *range(total // 2 + side, side + total),
    ]
    assert torch.nn.functional.max_pool1d(padded[None, None], window, stride).shape[-1] == wanted


def _written_out(state: dict[str, torch.Tensor], clip: torch.Tensor, own_statistics: bool) -> torch.Tensor:
    """The network as the paper's figure 3 and the facts in lib/metrics/networks/i3d.py have it."""

    def around(x, size, stride):
        padding = []
        for side, window, step in zip(x.shape[:1:-1], size[::-1], stride[::-1], strict=True):
            total = max((math.ceil(side / step) - 1) * step + window - side, 0)
            padding += [total // 2, total - total // 2]
        return F.pad(x, padding)

    def unit(x, name, stride=1):
        weight = state[f"{name}.conv3d.weight"]
        y = F.conv3d(around(x, weight.shape[2:], (stride,) * 3), weight, stride=stride)
        mean, variance = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
        if own_statistics:
            mean, variance = y.mean(dim=(0, 2, 3, 4)), y.var(dim=(0, 2, 3, 4), correction=0)
        mean, variance, weight, bias = (
            values.view(1, -1, 1, 1, 1)
            for values in (mean, variance, state[f"{name}.bn.weight"], state[f"{name}.bn.bias"])
        )
        return torch.clamp((y - mean) / torch.sqrt(variance + 0.001) * weight + bias, min=0)

    def pool(x, size, stride):
        return F.max_pool3d(around(x, size, stride), size, stride)

    def mixed(x, name):
        third, fourth = unit(unit(x, f"{name}.b2a"), f"{name}.b2b"), pool(x, (3, 3, 3), (1, 1, 1))
        second = unit(unit(x, f"{name}.b1a"), f"{name}.b1b")
        return torch.cat([unit(x, f"{name}.b0"), second, third, unit(fourth, f"{name}.b3b")], dim=1)

    x = pool(unit(clip, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    x = pool(mixed(mixed(x, "Mixed_3b"), "Mixed_3c"), (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = mixed(x, f"Mixed_4{letter}")
    return mixed(mixed(pool(x, (2, 2, 2), (2, 2, 2)), "Mixed_5b"), "Mixed_5c")


@pytest.mark.parametrize("own_statistics", [False, True])
def test_against_the_network_written_out(net, own_statistics):
    exact = copy.deepcopy(net).double()  # normalising few numbers makes rounding errors large
    clip = torch.rand(1, 3, 11, 72, 65, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.inference_mode():
        found = exact(clip, own_statistics)
        expected = _written_out(exact.state_dict(), clip, own_statistics)
    assert expected.std() > 0.1
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_the_clips_own_statistics_leave_the_stored_ones_alone(net):
    before = {key: value.clone() for key, value in net.state_dict().items()}
    clip = torch.rand(1, 3, 8, 40, 40)
    with torch.inference_mode():
        first, stored, second = net(clip, True), net(clip), net(clip, True)
    assert torch.equal(first, second)
    assert not torch.allclose(first, stored, atol=1e-3)
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in before.items())


def test_the_sizes_of_what_comes_out(net):
    with torch.inference_mode():
        assert net(torch.rand(1, 3, 9, 40, 65)).shape == (1, 1024, 2, 2, 3)


def _moments(count: int) -> list[Moment]:
    rng = np.random.default_rng(5)
    hole = np.zeros((24, 40), bool)
    frames = rng.integers(0, 256, (2, count, 24, 40, 3), np.uint8)
    return [Moment(n, frames[0, n], frames[0, n], frames[1, n], hole, ~hole) for n in range(count)]


@pytest.mark.parametrize("own_statistics", [False, True])
def test_features_are_the_mean_of_the_last_module(net, monkeypatch, own_statistics):
    monkeypatch.setattr(i3d_features, "SIZE", (24, 40))
    metric = I3dFeatures(net, CPU, own_statistics)
    moments = _moments(9)
    for moment in moments:
        metric.add(moment)
    clip = torch.from_numpy(np.stack([moment.result for moment in moments])).permute(3, 0, 1, 2)[None].float() / 255
    with torch.inference_mode():
        expected = net(clip, own_statistics).mean(dim=(0, 2, 3, 4)).numpy()
    found = metric.arrays()
    assert found["i3d_result"].shape == found["i3d_truth"].shape == (1024,)
    assert np.allclose(found["i3d_result"], expected, atol=1e-5)
    assert not np.allclose(found["i3d_result"], found["i3d_truth"], atol=1e-5)
    assert metric.values() == {}


def test_long_clips_go_in_pieces(net, monkeypatch):
    monkeypatch.setattr(i3d_features, "SIZE", (24, 40))
    monkeypatch.setattr(i3d_features, "PIECE", 8)
    whole, first, second = (I3dFeatures(net, CPU) for _ in range(3))
    for moment in _moments(12):
        whole.add(moment)
        (first if moment.index < 8 else second).add(moment)
    parts = [one.arrays()["i3d_result"] for one in (first, second)]
    assert np.allclose(whole.arrays()["i3d_result"], (8 * parts[0] + 4 * parts[1]) / 12, atol=1e-6)


def test_another_file_says_what_is_wrong(tmp_path):
    path = tmp_path / "i3d_rgb_imagenet.pt"
    torch.save({"Conv3d_1a_7x7.conv3d.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"i3d_rgb_imagenet.pt: does not fit the network: \d+ keys missing"):
        I3d.load(path)
