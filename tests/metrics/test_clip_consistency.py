"""Temporal consistency: cosines of neighbouring frames' embeddings."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from metric_checkpoints import write_clip_model, write_text_model
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel

from lib.errors import InputError
from lib.metrics.moment import Moment
from lib.metrics.networks import clip_consistency
from lib.metrics.networks.clip_consistency import ClipEncoder, TemporalConsistency, prepared

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
    net = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    embedded = []
    for frame in frames:
        picture = Image.fromarray(frame).resize((48, 32), Image.Resampling.BICUBIC).crop((8, 0, 40, 32))
        mean, deviation = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
        values = (np.asarray(picture) / 255 - mean) / deviation
        with torch.inference_mode():
            found = net.get_image_features(pixel_values=torch.tensor(values.transpose(2, 0, 1)[None]).float())
            embedded.append(found.pooler_output[0])
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


@pytest.mark.parametrize("size", [(480, 854), (854, 480), (33, 32), (32, 32), (20, 31), (61, 45)])
def test_pictures_are_prepared_as_published(size):
    frame = np.random.default_rng(4).integers(0, 256, (*size, 3), np.uint8)
    published = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    expected = np.asarray(published(frame, input_data_format="channels_last")["pixel_values"][0])
    assert np.allclose(prepared(frame, 32), expected, atol=1e-5)


def test_a_folder_with_something_else(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read as a CLIP model"):
        ClipEncoder(tmp_path, CPU)


def test_a_model_without_a_picture_tower_does_not_get_random_numbers(tmp_path):
    write_text_model(tmp_path)
    with pytest.raises(InputError, match=r"cannot be read as a CLIP model \(\d+ keys missing, vis"):
        ClipEncoder(tmp_path, CPU)


def test_a_cut_off_file_says_so(tmp_path, folder):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read as a CLIP model"):
        ClipEncoder(tmp_path, CPU)
