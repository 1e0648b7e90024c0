"""Temporal consistency: cosines of neighbouring frames' embeddings."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from metric_checkpoints import write_clip_model
from PIL import Image
from transformers import CLIPVisionModelWithProjection

from lib.errors import InputError
from lib.metrics.moment import Moment
from lib.metrics.networks import clip_consistency
from lib.metrics.networks.clip_consistency import ClipEncoder, TemporalConsistency

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip_model(tmp_path_factory.mktemp("clip"))


def _moments(frames: np.ndarray) -> list[Moment]:
    hole = np.zeros(frames.shape[1:3], bool)
    return [Moment(n, frame, frame, None, hole, ~hole) for n, frame in enumerate(frames)]


def _measured(folder, frames: np.ndarray) -> TemporalConsistency:
    metric = TemporalConsistency(ClipEncoder(folder, CPU))
    for moment in _moments(frames):
        metric.add(moment)
    return metric


def test_against_the_definition(folder, monkeypatch):
    monkeypatch.setattr(clip_consistency, "_BATCH", 3)  # neighbours in different batches count as well
    frames = np.random.default_rng(1).integers(0, 256, (7, 40, 60, 3), np.uint8)
    net = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    embedded = []
    for frame in frames:
        picture = Image.fromarray(frame).resize((48, 32), Image.Resampling.BICUBIC).crop((8, 0, 40, 32))
        mean, deviation = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
        values = (np.asarray(picture) / 255 - mean) / deviation
        with torch.inference_mode():
            embedded.append(net(torch.tensor(values.transpose(2, 0, 1)[None]).float()).image_embeds[0])
    cosines = [float(torch.cosine_similarity(a, b, dim=0)) for a, b in pairwise(embedded)]
    assert _measured(folder, frames).values()["temporal_consistency"] == pytest.approx(np.mean(cosines), abs=1e-5)
    assert np.mean(cosines) < 0.9999


def test_a_still_clip_is_wholly_consistent(folder):
    frames = np.repeat(np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3), np.uint8), 5, axis=0)
    assert _measured(folder, frames).values()["temporal_consistency"] == pytest.approx(1, abs=1e-5)


def test_a_single_frame_has_no_neighbour(folder):
    metric = _measured(folder, np.zeros((1, 32, 32, 3), np.uint8))
    assert not metric.values()
    assert "single frame" in metric.unavailable()["temporal_consistency"]


def test_a_folder_with_something_else(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read as a CLIP model"):
        ClipEncoder(tmp_path, CPU)
