"""diffusers' inpainting UNet as a CUDA graph: by itself it keeps the host busier than the GPU."""

from typing import Any

import torch

from lib.compute.graphs import CudaGraphs


def run_as_graph(unet: Any) -> None:
    """Let every call of a UNet on a GPU replay a graph, from the second call with the same shapes on."""
    unet.forward = _Replay(unet.forward)


class _Replay:
    """Stands for the UNet's own forward."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward
        self._graphs = CudaGraphs()
        self._shape: torch.Size | None = None

    def __call__(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor, **options: Any
    ) -> tuple[torch.Tensor]:
        if any(value is not None for name, value in options.items() if name != "return_dict"):
            raise ValueError(f"a captured UNet takes no options; found {', '.join(options)}")
        if sample.shape != self._shape:  # graphs of other sizes would only take room
            self._graphs.forget()
            self._shape = sample.shape
        return (self._graphs(self, "predict", sample, timestep, encoder_hidden_states),)

    def predict(self, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The noise in `sample`."""
        return self._forward(sample, timestep, encoder_hidden_states=text, return_dict=False)[0]
