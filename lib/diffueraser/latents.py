"""The latents of a whole clip on the host, of which a window at a time is on the device."""

import torch


class LatentStore:
    """(N, C, h, w) float32. On CUDA copies run in the order of the stream's work, and the host waits for none."""

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self._device = device
        self._host = torch.empty(shape, pin_memory=device.type == "cuda")

    @classmethod
    def of(cls, latents: torch.Tensor, device: torch.device | str = "cpu") -> "LatentStore":
        """A store that holds `latents`."""
        store = cls(tuple(latents.shape), torch.device(device))
        store.write(0, latents)
        return store

    def __len__(self) -> int:
        return len(self._host)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        count, channels, height, width = self._host.shape
        return count, channels, height, width

    @property
    def device(self) -> torch.device:
        return self._device

    def like(self) -> "LatentStore":
        """An empty store of the same kind."""
        return LatentStore(self.shape, self._device)

    def read(self, frames: range) -> torch.Tensor:
        """Latents of neighbouring frames, on the device: (n, C, h, w)."""
        part = self._host[frames.start : frames.stop]
        return part.to(self._device, non_blocking=True) if self._device.type == "cuda" else part.clone()

    def read_at(self, indices: tuple[int, ...]) -> torch.Tensor:
        """Latents of single frames, on the device."""
        return torch.cat([self.read(range(index, index + 1)) for index in indices])

    def write(self, start: int, latents: torch.Tensor) -> None:
        """Put (n, C, h, w) at frames `start` and following."""
        self._host[start : start + len(latents)].copy_(latents, non_blocking=True)

    def write_at(self, indices: tuple[int, ...], latents: torch.Tensor) -> None:
        """Put (n, C, h, w) at single frames."""
        for index, latent in zip(indices, latents, strict=True):
            self.write(index, latent[None])

    def tensor(self) -> torch.Tensor:
        """All of it, on the host: (N, C, h, w)."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._host
