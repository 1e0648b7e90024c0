"""I3D: its file's layout, its padding, and the features that VFID takes."""

import math

import numpy as np
import pytest
import torch
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


def test_the_sizes_of_what_comes_out(net):
    with torch.inference_mode():
        assert net(torch.rand(1, 3, 9, 40, 65)).shape == (1, 1024, 2, 2, 3)


def _moments(count: int) -> list[Moment]:
    rng = np.random.default_rng(5)
    hole = np.zeros((24, 40), bool)
    frames = rng.integers(0, 256, (2, count, 24, 40, 3), np.uint8)
    return [Moment(n, frames[0, n], frames[0, n], frames[1, n], hole, ~hole) for n in range(count)]


def test_features_are_the_mean_of_the_last_module(net, monkeypatch):
    monkeypatch.setattr(i3d_features, "SIZE", (24, 40))
    metric = I3dFeatures(net, CPU)
    moments = _moments(9)
    for moment in moments:
        metric.add(moment)
    clip = torch.from_numpy(np.stack([moment.result for moment in moments])).permute(3, 0, 1, 2)[None].float() / 255
    with torch.inference_mode():
        expected = net(clip).mean(dim=(0, 2, 3, 4)).numpy()
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
