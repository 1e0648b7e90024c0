"""CUDA graphs for work that is repeated with the same shapes: one call launches dozens of kernels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

MOST_GRAPHS = 64  # more shapes than this at a time are not captured any more, so that memory stays bounded


@dataclass
class _Captured:
    graph: torch.cuda.CUDAGraph
    inputs: list[torch.Tensor]
    output: torch.Tensor


class CudaGraphs:
    """Runs steps (see `Steps`); from the second time on that a step meets the same shapes, as a graph.

    The first time is an ordinary call: it warms up the libraries, and what happens only once is never captured. All
    graphs share one memory pool: safe, because they run one after another and each result is copied out at once.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._captured: dict[tuple[object, ...], _Captured] = {}
        self._met: set[tuple[object, ...]] = set()

    def __call__(self, module: object, method: str, *inputs: torch.Tensor | int) -> torch.Tensor:
        key = (module, method, *(_signature(value) for value in inputs))
        if key not in self._captured:
            if key not in self._met or len(self._captured) >= MOST_GRAPHS:
                self._met.add(key)
                return getattr(module, method)(*inputs)
            self._captured[key] = self._capture(module, method, inputs)
        captured = self._captured[key]
        tensors = (value for value in inputs if isinstance(value, torch.Tensor))
        for static, given in zip(captured.inputs, tensors, strict=True):
            static.copy_(given)
        captured.graph.replay()
        return captured.output.clone()

    def forget(self) -> None:
        """Drop all graphs and their memory, because other shapes follow."""
        self._captured.clear()
        self._met.clear()
        self._pool = None

    def _capture(self, module: object, method: str, inputs: Sequence[torch.Tensor | int]) -> _Captured:
        statics = [value.clone() if isinstance(value, torch.Tensor) else value for value in inputs]
        graph = torch.cuda.CUDAGraph()
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, pool=self._pool):
            output = getattr(module, method)(*statics)
        return _Captured(graph, [value for value in statics if isinstance(value, torch.Tensor)], output)


def _signature(value: torch.Tensor | int) -> tuple[object, ...]:
    if isinstance(value, int):
        return (value,)
    return (tuple(value.shape), value.dtype, value.stride())
