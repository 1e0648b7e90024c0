"""How long each stage takes, without making the host wait for the GPU."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Sums wall time by stage: host time on a CPU, time of the stream's work on CUDA."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._host: defaultdict[str, float] = defaultdict(float)
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside to `name`; not to be nested."""
        if not self._cuda:
            start = time.perf_counter()
            yield
            self._host[name] += time.perf_counter() - start
            return
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        yield
        after.record()
        self._events.append((name, before, after))

    def seconds(self) -> dict[str, float]:
        """Stage -> seconds so far; waits for the GPU."""
        total = defaultdict(float, self._host)
        if self._events:
            torch.cuda.synchronize()
        for name, before, after in self._events:
            total[name] += before.elapsed_time(after) / 1000
        return dict(total)
