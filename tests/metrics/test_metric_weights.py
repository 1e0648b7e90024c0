"""Which weights there are, what is said where there are none, and all networks on one clip."""

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
from lib.metrics.networks.networks import MetricNetworks
from lib.metrics.networks.raft_flow import RaftFlow
from lib.metrics.networks.weights import HEADS_FILE, MetricWeights
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


def test_all_networks_on_a_clip(tmp_path, weights):
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


def test_raft_answers_in_pixels_of_the_frame(weights):
    """Random weights give no true motion: what counts is the frame's own size, and that the scale follows it."""
    assert weights.raft is not None
    flow = RaftFlow(weights.raft, CPU)
    picture = np.asarray(Image.effect_noise((150, 100), 60).convert("RGB"))
    forth, back = flow(picture, np.roll(picture, 3, axis=1))
    expected = DisFlow()(picture, picture)[0]
    assert forth.shape == back.shape == expected.shape == (100, 150, 2)
    assert np.isfinite(forth).all()
