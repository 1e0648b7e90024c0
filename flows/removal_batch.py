"""What the jobs of all flows have in common: engine, anchor, words, comparison."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from flows.inputs import Fingerprints, is_adopted
from flows.measuring import Measuring
from flows.slots import slots_for, slots_for_metrics
from lib.anchor.base import AnchorInpainter
from lib.errors import check_all
from lib.removers.base import Remover
from lib.removers.products import separate_prior
from lib.removers.registry import get_anchor, make_remover
from lib.runtime.slots import Slot
from lib.settings import DiffuEraserOptions, RunSettings
from lib.video.datasets import Video
from lib.video.reading import lossless_reading
from tasks.jobs import ComparisonJob, GuidedJob, RemovalJob
from tasks.result_jobs import EvaluateJob, TruthComparisonJob

Settings = TypeVar("Settings", bound=RunSettings)


@dataclass(frozen=True)
class ResolvedPrompt:
    """A prompt as resolved for one video: flag, else prompt file, else the default."""

    prompt: str
    n_prompt: str
    text_guidance_scale: float


@dataclass(frozen=True)
class Result:
    """A removal's result that is there."""

    job: RemovalJob
    key: str  # stands for its content
    path: Path


class RemovalBatch(Generic[Settings]):
    """Makes each video's jobs; the same settings and inputs always give the same cache keys."""

    def __init__(self, settings: Settings) -> None:
        """Raises InputError: a setting that the engine cannot do without is missing."""
        self.settings = settings
        self.remover: Remover = make_remover(settings.engine, settings.engine_prior, settings.engine_options)
        chosen = settings.engine_anchor
        offload = settings.diffueraser.offload
        self.anchor: AnchorInpainter | None = (
            get_anchor(chosen, settings.processing.seed, offload=offload) if chosen else None
        )
        self.measuring = Measuring(settings)

    def check(self) -> None:
        """See that engine and anchor have all that they need, and that the GPUs asked for are there.

        Raises:
            InputError: everything that is missing, and how to get it.
        """
        parts = [part.check for part in (self.remover, self.anchor) if part is not None]
        check_all(*parts, lambda: slots_for(self.settings.execution, self.remover), self.measuring.check)

    @property
    def warnings(self) -> list[str]:
        """What the user may not expect of these settings."""
        if self.settings.prompts.use_text and not self.remover.uses_text:
            return [f"--use_text has no effect with --engine {self.remover.name}"]
        return []

    @cached_property
    def _anchor_fingerprint(self) -> dict[str, str]:
        return self.anchor.fingerprint() if self.anchor else {}

    def removal(self, video: Video, fingerprints: Fingerprints, *, anchor: bool, text: bool) -> dict[str, Any]:
        """What every removal job of this video starts from, whether or not it has an anchor and text."""
        return {
            "video": video,
            "output_dir": self.settings.output_dir,
            "video_fingerprint": fingerprints.video,
            "mask_fingerprint": fingerprints.mask,
            "processing": self.settings.processing,
            "reading": dict(fingerprints.reading),
            "rules": self.settings.input_rules,
            "watched": fingerprints.states,
            **self._setup(anchor, text),
        }

    @cache  # noqa: B019 (a batch lives as long as its run)
    def _setup(self, anchor: bool, text: bool) -> dict[str, Any]:
        """The engine and its fingerprint. Options without effect are left as they are by default."""
        options = self.settings.engine_options
        if options:
            unused = [name for name, used in (("anchor_scope", anchor), ("cfg_gate", text)) if not used]
            defaults = {name: DiffuEraserOptions.model_fields[name].default for name in unused}
            options = options.model_copy(update=defaults)
        engine, prior = self.settings.engine, self.settings.engine_prior
        fingerprint = make_remover(engine, prior, options).fingerprint()
        return {"engine": engine, "prior": prior, "options": options, "engine_fingerprint": fingerprint}

    @property
    def metric_slots(self) -> tuple[Slot, ...]:
        """Where results are measured."""
        return slots_for_metrics(self.settings.execution, self.measuring.uses_networks)

    @property
    def anchor_takes_prompt(self) -> bool:
        """Whether the anchor's picture follows the prompt."""
        return self.anchor is not None and self.anchor.uses_prompt

    def text_takes_prompt(self, scale: float) -> bool:
        """Whether the main network follows a prompt of that guidance scale where it is given one."""
        no_text = scale == 0 and self.settings.diffueraser.cfg_gate == "exact"
        return self.remover.uses_text and not no_text

    def guided(
        self,
        video: Video,
        fingerprints: Fingerprints,
        words: ResolvedPrompt,
        *,
        with_anchor: bool = True,
        with_text: bool | None = None,
    ) -> dict[str, Any]:
        """A removal with anchor and words: what has no effect is left empty.

        Args:
            with_anchor: False leaves the run's anchor out.
            with_text: whether the main network is given the words; None: as the settings say.
        """
        anchor = self.anchor if with_anchor else None
        text = self.settings.prompts.use_text if with_text is None else with_text
        use_text = text and self.text_takes_prompt(words.text_guidance_scale) and bool(words.prompt or words.n_prompt)
        # Without words of its own an engine leaves it to the anchor what to make of them: they are the job's input.
        handed_on = self.remover.uses_prompt and not self.remover.uses_text
        used = use_text or (anchor is not None and (anchor.uses_prompt or handed_on))
        lossless, plain = (
            self.settings.products.lossless,
            self.removal(video, fingerprints, anchor=anchor is not None, text=use_text),
        )
        return {
            **plain,
            "reading": {**plain["reading"], **(lossless_reading(video.video_path) if lossless else {})},
            "anchor": self.settings.engine_anchor if anchor else None,
            "anchor_fingerprint": self._anchor_fingerprint if anchor else {},
            "prompt": words.prompt if used else "",
            "n_prompt": words.n_prompt if used else "",
            "use_text": use_text,
            "text_guidance_scale": words.text_guidance_scale if use_text else 0.0,
            "lossless": lossless,
        }

    def result_path(self, job: RemovalJob) -> Path:
        return job.folder / f"{self.remover.name}.mp4"

    def comparison(self, job: GuidedJob, key: str, coarse: tuple[Path, str] | None = None) -> ComparisonJob:
        """The third cell shows the prior, without one the phase-1 result (its path and key), else the hole."""
        title, path, third_key = "Hole", None, ""
        if beside := separate_prior(self.remover):  # it is made with the result: one key stands for both
            title, path = beside.title, job.folder / f"{beside.name}.mp4"
        if is_adopted(key) and path and not path.is_file():
            title, path = "Hole", None
        if path is None and coarse and coarse[1]:
            title, (path, third_key) = "Phase 1", coarse
        return ComparisonJob(
            video=job.video,
            output_dir=self.settings.output_dir,
            processing=self.settings.processing,
            reading=job.reading,
            watched=job.watched,
            fps=self.settings.products.comparison_fps,
            engine_title=self.remover.title,
            refine_key=key,
            refined_path=self.result_path(job),
            third_title=title,
            third_key=third_key,
            third_path=path,
            inputs=(job.video_fingerprint, job.mask_fingerprint) if is_adopted(key) else (),
        )

    def result(self, job: RemovalJob, key: str) -> Result:
        return Result(job, key, self.result_path(job))

    def evaluate(self, result: Result, truth_fingerprint: str) -> EvaluateJob:
        """The numbers of a result, of its lossless file where there is one."""
        feather = self.settings.processing.feather
        return EvaluateJob(
            **self._of_result(result, truth_fingerprint),
            reach=self.remover.blend.reach if feather is None else feather,
            **self.measuring.for_jobs,
        )

    def truth_comparison(self, result: Result, truth_fingerprint: str) -> TruthComparisonJob:
        return TruthComparisonJob(
            **self._of_result(result, truth_fingerprint),
            fps=self.settings.products.comparison_fps,
            engine_title=self.remover.title,
        )

    def _of_result(self, result: Result, truth_fingerprint: str) -> dict[str, Any]:
        job, lossless = result.job, result.path.with_suffix(".mkv")
        made_with_it = self.settings.products.lossless and not is_adopted(result.key)  # a kept file's may be another's
        return {
            "video": job.video,
            "output_dir": self.settings.output_dir,
            "video_fingerprint": job.video_fingerprint,
            "mask_fingerprint": job.mask_fingerprint,
            "processing": job.processing,
            "reading": job.reading,
            "watched": job.watched,
            "result_key": result.key,
            "result_path": lossless if made_with_it and lossless.is_file() else result.path,
            "truth_fingerprint": truth_fingerprint,
        }
