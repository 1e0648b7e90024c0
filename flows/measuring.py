"""How a run measures its results: protocol, optical flow, the networks that there are weights for."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lib.errors import InputError
from lib.propainter.weight_files import RAFT_FILE
from lib.removers.gpu import gpu_count
from lib.settings import RunSettings
from tasks.result_jobs import metric_weights


class Measuring:
    """The part of an evaluation's job that is the same for every video of a run."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings, self._wanted = settings, settings.metrics

    @property
    def is_on(self) -> bool:
        return not self._wanted.no_metrics

    @property
    def uses_networks(self) -> bool:
        return bool(self._weights)

    def check(self) -> None:
        """See that the weights that were asked for are there.

        Raises:
            InputError: what is missing or damaged.
        """
        if not self.is_on:
            return
        if self._wanted.metrics_flow == "raft" and self._raft is None:
            raise InputError(
                f"--metrics_flow raft needs {RAFT_FILE}: give --propainter_model_dir or --weights_dir with it, "
                "or --metrics_flow dis"
            )
        metric_weights(self._weights).check()

    @cached_property
    def for_jobs(self) -> dict[str, Any]:
        """Fields of an `EvaluateJob`."""
        return {
            "protocol": self._wanted.metrics_protocol,
            "flow": self._flow,
            "skip_vfid": self._wanted.skip_vfid,
            "weights": self._weights,
            "weights_fingerprint": metric_weights(self._weights).fingerprint(),
        }

    @property
    def _flow(self) -> Literal["dis", "raft"]:
        if self._wanted.metrics_flow != "auto":
            return self._wanted.metrics_flow
        return "raft" if self._raft and gpu_count() else "dis"

    @cached_property
    def _weights(self) -> dict[str, Path]:
        weights = self._settings.metric_weights
        if self._wanted.skip_vfid:
            weights.pop("i3d_path", None)
        return weights | ({"raft_path": self._raft} if self._raft and self._flow == "raft" else {})

    @cached_property
    def _raft(self) -> Path | None:
        folder = self._settings.propainter_model_dir
        path = folder / RAFT_FILE if folder else None
        return path if path and path.is_file() else None
