"""A clip's pictures to latents and back, a batch at a time: all that the autoencoder does for one clip."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from lib.compute.transfer import HostFrames, upload
from lib.diffueraser.autoencoder import CELL, Autoencoder
from lib.diffueraser.draws import Draws, PosteriorPurpose
from lib.diffueraser.latents import LatentStore
from lib.diffueraser.pictures import known_cells, to_bytes, to_images
from lib.diffueraser.settings import EraserSettings

# Pictures in one batch: so many pixels take about as much memory as the denoising of a window.
PIXELS_ENCODED_AT_ONCE = 4 * 720 * 360
PIXELS_DECODED_AT_ONCE = 4 * 720 * 360

Advance = Callable[[int], None]  # told how many pictures of a batch are through


class ClipCoder:
    """Encodes and decodes pictures of one size, (H, W)."""

    def __init__(
        self,
        vae: Autoencoder,
        settings: EraserSettings,
        draws: Draws,
        size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """dtype: what the autoencoder works in."""
        self._vae, self._settings, self._draws = vae, settings, draws
        self._pixels, self._device, self._dtype = size[0] * size[1], device, dtype
        self.shape = (4, size[0] // CELL, size[1] // CELL)  # of one picture's latents

    def encode_prior(self, prior: np.ndarray, advance: Advance) -> LatentStore:
        """(T, H, W, 3) uint8 -> clean scaled latents (T, 4, h, w)."""
        store = LatentStore((len(prior), *self.shape), self._device)
        for batch in self._batches(len(prior), PIXELS_ENCODED_AT_ONCE):
            images = to_images(upload(prior[batch.start : batch.stop], self._device))
            store.write(batch.start, self._encode(images, "prior", batch.start))
            advance(len(batch))
        return store

    def encode_exactly(self, picture: np.ndarray) -> torch.Tensor:
        """(H, W, 3) uint8 -> its most likely scaled latents, (1, 4, h, w) float32."""
        mean, _ = self._moments(to_images(upload(picture[None], self._device)))
        return mean * self._vae.scaling

    def encode_conditioning(
        self,
        frames: np.ndarray,
        masks: np.ndarray,
        indices: Sequence[int],
        purpose: PosteriorPurpose,
        known: Mapping[int, torch.Tensor],
        advance: Advance,
    ) -> LatentStore:
        """(n, 5, h, w) of the frames at `indices`: scaled latents of what is known of them, and where that is.

        Args:
            frames: (T, H, W, 3) uint8. masks: (T, H, W) bool, True = hole.
            known: pictures (3, H, W) in -1..1 by frame that take a frame's place and are known everywhere.
        """
        store = LatentStore((len(indices), self.shape[0] + 1, *self.shape[1:]), self._device)
        for batch in self._batches(len(indices), PIXELS_ENCODED_AT_ONCE):
            chosen = indices[batch.start : batch.stop]
            holes = upload(_rows(masks, chosen), self._device)
            images = to_images(upload(_rows(frames, chosen), self._device), holes)
            whole = torch.tensor([index in known for index in chosen])
            for place in whole.nonzero().flatten().tolist():
                images[place] = known[chosen[place]]
            holes = holes & ~whole.to(self._device)[:, None, None]
            cells = known_cells(holes, CELL, self._settings.latent_mask)
            store.write(batch.start, torch.cat([self._encode(images, purpose, batch.start), cells], dim=1))
            advance(len(batch))
        return store

    def decode(
        self, latents: LatentStore, advance: Advance, landed: Callable[[np.ndarray, int, int], None]
    ) -> np.ndarray:
        """Scaled latents (T, 4, h, w) -> (T, H, W, 3) uint8.

        Args:
            landed: called with all frames, and from where to where they are there now.
        """
        count, _, height, width = latents.shape
        frames = np.empty((count, height * CELL, width * CELL, 3), np.uint8)
        host = HostFrames(frames, lambda start, stop: landed(frames, start, stop))
        for batch in self._batches(count, PIXELS_DECODED_AT_ONCE):
            host.put(batch.start, to_bytes(self._decode(latents.read(batch))))
            advance(len(batch))
        host.finish()
        return frames

    def decode_images(self, latents: torch.Tensor, advance: Advance) -> torch.Tensor:
        """Scaled latents (n, 4, h, w) -> pictures (n, 3, H, W) in -1..1, rounded to bytes unless set otherwise."""
        done = []
        for batch in self._batches(len(latents), PIXELS_DECODED_AT_ONCE):
            images = self._decode(latents[batch.start : batch.stop])
            exact = self._settings.pre_inference_frames == "exact"
            done.append(images.clamp(-1, 1) if exact else to_images(to_bytes(images)))
            advance(len(batch))
        return torch.cat(done)

    def _encode(self, images: torch.Tensor, purpose: PosteriorPurpose, first: int) -> torch.Tensor:
        """`first`: place of the first image among those of its purpose."""
        mean, std = self._moments(images)
        if self._settings.posterior == "sample":
            drawn = [self._draws.posterior(purpose, first + place, self.shape) for place in range(len(images))]
            mean = mean + std * torch.stack(drawn).to(self._device)
        return mean * self._vae.scaling

    def _moments(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._vae.moments(images.to(self._dtype))

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self._vae.decode((latents / self._vae.scaling).to(self._dtype))

    def _batches(self, count: int, pixels: int) -> Iterator[range]:
        size = max(1, pixels // self._pixels)
        for start in range(0, count, size):
            yield range(start, min(start + size, count))


def _rows(array: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """Items of an array; neighbours are not copied."""
    neighbours = indices[-1] - indices[0] + 1 == len(indices)
    return array[indices[0] : indices[-1] + 1] if neighbours else array[list(indices)]
