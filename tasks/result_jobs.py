"""What the tasks that look at a result are asked to do: measure it, show it beside its source and its ground truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from lib.metrics.networks.weights import MetricWeights
from lib.report.playable import copy_path, media_folder
from lib.settings import Processing
from tasks.jobs import Job

SCORES_FILE = "metrics.json"
FEATURES_FILE = "metrics_features.npz"
JUDGEMENT_FILE = "judgement.json"


preview_folder = media_folder  # where what the report plays of a video's inputs lies


class InputJob(Job):
    """Something made of a video and its masks alone."""

    video_fingerprint: str
    mask_fingerprint: str
    processing: Processing
    reading: dict[str, Any] = Field(default_factory=dict)  # what is special about the input: `lib.video.reading`


class PreviewJob(InputJob):
    """What a browser can play of a video and its masks, whatever they came as."""

    phase: ClassVar[str] = "preview"
    code_version: ClassVar[str] = "1"

    def identity(self) -> dict[str, Any]:
        unused = {"feather", "seed", "max_img_size", "result_format"}
        processing = self.processing.model_dump(mode="json", exclude=unused)
        inputs = [self.video_fingerprint, self.mask_fingerprint]
        return {"inputs": inputs, "processing": processing, "reading": self.reading}

    @property
    def folder(self) -> Path:
        return preview_folder(self.output_dir, self.video.name)

    @property
    def source(self) -> Path:
        return self.folder / "source.mp4"

    @property
    def mask(self) -> Path:
        return self.folder / "mask.mp4"

    @property
    def thumbnail(self) -> Path:
        return self.folder / "thumbnail.jpg"


class PlayableJob(Job):
    """A copy of a result that browsers play, where they do not play the result itself."""

    phase: ClassVar[str] = "playable"
    code_version: ClassVar[str] = "1"

    result_key: str  # stands for the result
    result_path: Path

    def identity(self) -> dict[str, Any]:
        return {"result_key": self.result_key, "file": self.path.name}

    @property
    def path(self) -> Path:
        return copy_path(self.output_dir, self.video.name, self.result_path)


class ResultJob(InputJob):
    """Something that is made of a result; `result_key` stands for it."""

    result_key: str
    result_path: Path
    truth_fingerprint: str = ""  # of the ground truth; empty where there is none


class EvaluateJob(ResultJob):
    """The numbers of a result."""

    phase: ClassVar[str] = "evaluate"
    code_version: ClassVar[str] = "1"

    reach: int  # pixels beyond the mask that the result may have changed
    protocol: Literal["plain", "propainter"]
    flow: Literal["dis", "raft"]
    skip_vfid: bool
    weights: dict[str, Path]  # of the networks, by setting
    weights_fingerprint: dict[str, str]  # stands for them in the key: content, not paths

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"video", "output_dir", "result_path", "weights"})

    @property
    def scores_path(self) -> Path:
        return self.result_path.with_name(SCORES_FILE)

    @property
    def features_path(self) -> Path:
        """What numbers of the whole data set are made of."""
        return self.result_path.with_name(FEATURES_FILE)


def metric_weights(by_setting: Mapping[str, Path]) -> MetricWeights:
    """The weights of the metrics' networks from their settings' names (`lpips_path` is `lpips`)."""
    return MetricWeights(**{name.removesuffix("_path"): path for name, path in by_setting.items()})


class TruthComparisonJob(ResultJob):
    """The 2x2 comparison video of a result with the ground truth."""

    phase: ClassVar[str] = "comparison with truth"
    code_version: ClassVar[str] = "1"

    fps: int
    engine_title: str

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"video", "output_dir", "result_path"})

    @property
    def path(self) -> Path:
        return self.result_path.with_name("comparison_gt.mp4")


class JudgeJob(ResultJob):
    """What the caption environment's model thinks of a result."""

    phase: ClassVar[str] = "judge"
    code_version: ClassVar[str] = "1"

    judge_fingerprint: dict[str, str]  # `lib.captioner.judge.judge_fingerprint`: model, and what it is asked
    frames: int  # that it is asked about

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"video", "output_dir", "result_path", "truth_fingerprint"})

    @property
    def name(self) -> str:
        """Its name in a batch: the result's folder, since a study has several results of one video."""
        folder = self.result_path.parent
        return str(folder.relative_to(self.output_dir) if folder.is_relative_to(self.output_dir) else folder)

    @property
    def judgement_path(self) -> Path:
        return self.result_path.with_name(JUDGEMENT_FILE)
