"""Which weights there are, what is said where there are none, and all networks on one clip."""

import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch
from metric_checkpoints import write_clip_model, write_i3d, write_lpips
from PIL import Image
from tests_support import moving_square, write_frames

from lib.errors import InputError
from lib.metrics.evaluation import ClipFiles, evaluate_clip
from lib.metrics.flow import DisFlow
from lib.metrics.networks import i3d_features, raft_flow
from lib.metrics.networks.networks import MetricNetworks
from lib.metrics.networks.raft_flow import RaftFlow
from lib.metrics.networks.weights import BACKBONE_FILE, HEADS_FILE, MetricWeights
from lib.propainter.raft import RAFT
from lib.settings import Processing
from lib.video.compose import Feather
from lib.video.writer import write_lossless

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> MetricWeights:
    root = tmp_path_factory.mktemp("metric weights")
    torch.manual_seed(4)
    torch.save({f"module.{key}": value for key, value in RAFT().state_dict().items()}, root / "raft-things.pth")
    return MetricWeights(
        lpips=write_lpips(root / "lpips"),
        i3d=write_i3d(root / "i3d_rgb_imagenet.pt"),
        clip=write_clip_model(root / "clip"),
        raft=root / "raft-things.pth",
    )


def test_what_is_missing_is_named_all_at_once(tmp_path, weights):
    weights.check()
    with pytest.raises(InputError) as error:
        MetricWeights(lpips=tmp_path, i3d=tmp_path / "no.pt", clip=tmp_path).check()
    said = str(error.value)
    assert all(name in said for name in (HEADS_FILE, "alexnet", "no.pt", "config.json", "model.safetensors"))
    assert "found nothing" in said


def test_what_is_damaged_is_named_all_at_once(tmp_path, weights):
    """As far as can be told from the files' ends: an interrupted download, a page of an error, a pointer of git."""
    assert weights.lpips and weights.clip
    lpips, clip = shutil.copytree(weights.lpips, tmp_path / "lpips"), shutil.copytree(weights.clip, tmp_path / "clip")
    for path in (lpips / BACKBONE_FILE, clip / "model.safetensors"):
        path.write_bytes(path.read_bytes()[:-50])
    (lpips / HEADS_FILE).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    (clip / "config.json").write_bytes(b"<html>404</html>")
    (tmp_path / "i3d_rgb_imagenet.pt").touch()
    with pytest.raises(InputError) as error:
        MetricWeights(lpips=lpips, i3d=tmp_path / "i3d_rgb_imagenet.pt", clip=clip).check()
    lines = str(error.value).splitlines()
    assert len(lines) == 5
    assert all("fetch it again" in line for line in lines)
    said = ("without their end", "git-lfs pointer", "an empty file", "a web page", "incomplete")
    assert all(any(what in line for line in lines) for what in said)


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"{}", b'{"a": 1}', b'{"a": {"data_offsets": []}}', b"not json", b"\xff\xfe"]
)
def test_safetensors_with_a_strange_header_are_damaged(tmp_path, weights, header):
    clip = shutil.copytree(weights.clip, tmp_path / "clip")
    (clip / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match=r"model\.safetensors: .*, not a( whole)? \.safetensors file"):
        MetricWeights(clip=clip).check()


@pytest.mark.parametrize("name", ["i3d", "i3d.pth.tar", "i3d.pkl"])
def test_a_file_of_any_name_is_looked_at(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match="a web page"):
        MetricWeights(i3d=tmp_path / name).check()


def test_reasons_for_what_is_not_given(weights):
    assert set(MetricWeights().unavailable()) == {"lpips", "vfid", "temporal_consistency"}
    assert weights.unavailable() == {}
    assert not MetricWeights().given


def test_the_fingerprint_follows_the_content(tmp_path):
    before = MetricWeights(lpips=write_lpips(tmp_path / "lpips")).fingerprint()
    (tmp_path / "lpips" / HEADS_FILE).write_bytes(b"others")
    after = MetricWeights(lpips=tmp_path / "lpips").fingerprint()
    assert before["lpips backbone"] == after["lpips backbone"]
    assert before["lpips heads"] != after["lpips heads"]


def test_all_networks_on_a_clip(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(i3d_features, "SIZE", (48, 64))
    frames, masks = moving_square(0, 4, 136, 160)
    clean = frames.copy()
    clean[masks > 0] = 90
    for name, clip in (("result", clean // 2 + frames // 2), ("truth", clean)):
        write_lossless(tmp_path / f"{name}.mkv", clip, Fraction(24))
    files = ClipFiles(
        write_frames(tmp_path / "source", frames),
        write_frames(tmp_path / "masks", masks),
        tmp_path / "result.mkv",
        tmp_path / "truth.mkv",
    )
    networks = MetricNetworks.load(weights, CPU)
    scores, arrays = evaluate_clip(
        files, Processing(), Feather(3), flow=networks.flow, networks=networks.accumulators()
    )
    assert scores.values["lpips"] > 0
    assert -1 <= scores.values["temporal_consistency"] <= 1
    assert {"i3d_result", "i3d_truth"} == set(arrays)
    assert scores.facts["flow"] == "RAFT"
    assert MetricNetworks.load(weights, CPU, skip_vfid=True).i3d is None
    for_vfid = [one for one in networks.accumulators("propainter") if "vfid" in one.keys]
    _, papers = evaluate_clip(files, Processing(), Feather(3), networks=for_vfid)
    assert not np.allclose(papers["i3d_truth"], arrays["i3d_truth"], atol=1e-3)  # other statistics


class _KnownFlow(torch.nn.Module):
    """Half a pixel of what it is given to the right and a quarter down; back, the opposite."""

    def forward(self, frames: torch.Tensor, _iterations: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert frames.min() >= -1
        assert frames.max() <= 1
        flow = torch.tensor([0.5, 0.25]).view(1, 2, 1, 1).expand(1, 2, *frames.shape[2:])
        return flow, -flow


@pytest.mark.parametrize(
    ("height", "width", "expected"),  # of RAFT's own frame: a multiple of 8, 128..960 pixels
    [(136, 160, (136, 160)), (100, 150, (128, 192)), (1080, 1920, (544, 960)), (137, 161, (136, 160))],
)
def test_raft_flow_is_in_pixels_of_the_frame(tmp_path, monkeypatch, height, width, expected):
    monkeypatch.setattr(raft_flow, "load_raft", lambda _path: _KnownFlow())
    flow = RaftFlow(tmp_path, CPU)
    frame = np.zeros((height, width, 3), np.uint8)
    forth, back = flow(frame, frame)
    assert forth.shape == (height, width, 2)
    assert forth.dtype == np.float32
    assert np.allclose(forth, [0.5 * width / expected[1], 0.25 * height / expected[0]], atol=1e-5)
    assert np.allclose(back, -forth)


def test_raft_runs_on_small_frames(weights):
    """Random weights give no true motion: what counts is that the network runs at any size."""
    assert weights.raft is not None
    flow = RaftFlow(weights.raft, CPU)
    picture = np.asarray(Image.effect_noise((150, 100), 60).convert("RGB"))
    forth, back = flow(picture, np.roll(picture, 3, axis=1))
    expected = DisFlow()(picture, picture)[0]
    assert forth.shape == back.shape == expected.shape == (100, 150, 2)
    assert np.isfinite(forth).all()
