"""All networks that there are weights for: loaded once a process, for any number of clips."""

from dataclasses import dataclass
from typing import Literal

import torch

from lib.metrics.flow import FlowEstimator
from lib.metrics.moment import Accumulator
from lib.metrics.networks.clip_consistency import ClipEncoder, TemporalConsistency
from lib.metrics.networks.i3d import I3d
from lib.metrics.networks.i3d_features import I3dFeatures
from lib.metrics.networks.lpips import Lpips, LpipsMetric
from lib.metrics.networks.raft_flow import RaftFlow
from lib.metrics.networks.weights import MetricWeights
from lib.model_loads import note_load


@dataclass(frozen=True)
class MetricNetworks:
    """None stands for what has no weights."""

    device: torch.device
    lpips: Lpips | None = None
    i3d: I3d | None = None
    clip: ClipEncoder | None = None
    flow: FlowEstimator | None = None

    @classmethod
    def load(cls, weights: MetricWeights, device: torch.device, *, skip_vfid: bool = False) -> "MetricNetworks":
        """Raises InputError: a file cannot be used."""
        note_load("metrics")
        return cls(
            device,
            lpips=Lpips.load(weights.lpips).to(device) if weights.lpips else None,
            i3d=I3d.load(weights.i3d).to(device) if weights.i3d and not skip_vfid else None,
            clip=ClipEncoder(weights.clip, device) if weights.clip else None,
            flow=RaftFlow(weights.raft, device) if weights.raft else None,
        )

    def accumulators(self, protocol: Literal["plain", "propainter"] = "plain") -> list[Accumulator]:
        """Metrics for one clip. For VFID, protocol `propainter` normalises as published programs do."""
        found: list[Accumulator] = []
        if self.lpips:
            found.append(LpipsMetric(self.lpips, self.device))
        if self.i3d:
            found.append(I3dFeatures(self.i3d, self.device, own_statistics=protocol == "propainter"))
        if self.clip:
            found.append(TemporalConsistency(self.clip))
        return found
