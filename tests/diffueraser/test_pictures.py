"""Pictures between bytes and the networks' range, and masks between pixels and latent cells."""

import numpy as np
import torch

from lib.diffueraser.latents import LatentStore
from lib.diffueraser.pictures import known_cells, to_bytes, to_images
from lib.diffueraser.reference_inputs import masked_images


def test_every_byte_comes_back():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    images = to_images(frames)
    assert (images.min(), images.max(), images.shape) == (-1, 1, (1, 3, 16, 16))
    assert torch.equal(to_bytes(images), frames)


def test_bytes_are_rounded_and_clipped():
    values = torch.tensor([-3.0, -1 + 0.9 / 255, -1 + 1.1 / 255, 0.999, 7.0]).reshape(1, 1, 1, 5).repeat(1, 3, 1, 1)
    assert to_bytes(values)[0, 0, :, 0].tolist() == [0, 0, 1, 255, 255]


def test_holes_are_black_as_in_the_published_program():
    random = np.random.default_rng(0)
    frames, holes = random.integers(0, 256, (2, 8, 8, 3), np.uint8), random.random((2, 8, 8)) < 0.5
    expected = to_images(torch.from_numpy(masked_images(frames, holes.astype(np.uint8) * np.uint8(255))))
    assert torch.equal(to_images(torch.from_numpy(frames), torch.from_numpy(holes)), expected)


def test_cells_of_a_mask():
    holes = torch.zeros(1, 16, 24, dtype=torch.bool)
    holes[0, 0, 0] = holes[0, 9, 15] = True
    assert known_cells(holes, 8, "nearest")[0, 0].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert known_cells(holes, 8, "any")[0, 0].tolist() == [[0, 1, 1], [1, 0, 1]]


def test_a_store_of_latents_copies():
    latents = torch.randn(6, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    store = LatentStore.of(latents)
    part = store.read(range(1, 3))
    part += 1
    assert torch.equal(store.tensor(), latents)
    store.write_at((0, 5), latents[[2, 3]])
    assert torch.equal(store.read_at((0, 5, 1)), latents[[2, 3, 1]])
    assert (len(store), store.shape, store.like().shape) == (6, latents.shape, latents.shape)
