"""From settings and videos to the jobs of the three phases. The flow runs them, the plan only looks them up."""

from functools import cached_property
from pathlib import Path
from typing import TypeVar

from flows.inputs import Fingerprints
from flows.removal_batch import RemovalBatch, ResolvedPrompt, Result
from lib.captioner.backend import DEFAULT_MODEL, CaptionerOptions
from lib.captioner.environment import CaptionEnv, resolve_caption_env
from lib.captioner.judge import check_judge, judge_fingerprint
from lib.captioner.prompt_file import NEGATIVE_PROMPT, TEXT_GUIDANCE_SCALE, load_prompt_mapping, written_key
from lib.captioner.readiness import captioner_fingerprint, check_captioner
from lib.captioner.schema import read_prompt_file
from lib.captioner.words.prompts import SYSTEM_PROMPT
from lib.captioner.words.system_prompt import read_system_prompt
from lib.errors import InputError, check_all
from lib.removers.gpu import gpu_count
from lib.removers.products import separate_prior
from lib.runtime.fingerprints import sha256_file
from lib.settings import AutoRefineSettings
from lib.video.datasets import Video
from tasks.jobs import CaptionJob, CoarseJob, ComparisonJob, RefineJob
from tasks.record_store import find_record
from tasks.result_jobs import JudgeJob

PROJECT_ROOT = Path(__file__).resolve().parents[1]
_T = TypeVar("_T")


class Batch(RemovalBatch[AutoRefineSettings]):
    """The jobs of `flows/auto_refine.py`."""

    @cached_property
    def captioner(self) -> CaptionerOptions:
        """What the caption environment is told about the captioner.

        Raises:
            InputError: the file with the system prompt is missing or empty.
        """
        if self.settings.caption_backend == "palette":
            return CaptionerOptions("palette")
        wanted, prompts = self.settings.caption_environment, self.settings.prompts
        file = prompts.system_prompt_file
        return CaptionerOptions(
            backend="vlm",
            model_path=self.settings.caption_model or DEFAULT_MODEL,
            device=wanted.caption_device,
            dtype=wanted.caption_dtype,
            attention=wanted.caption_attention,
            max_pixels=wanted.caption_max_pixels,
            system_prompt=read_system_prompt(file) if file else SYSTEM_PROMPT,
            multi_sample_merge=prompts.multi_sample_merge,
            object_negative_prompt=prompts.object_negative_prompt,
        )

    @cached_property
    def caption_env(self) -> CaptionEnv:
        """The environment that captions run in.

        Raises:
            InputError: there is none, or its interpreter does not work.
        """
        return resolve_caption_env(self.settings.caption_environment.caption_env, PROJECT_ROOT)

    @cached_property
    def caption_gpus(self) -> tuple[int, ...]:
        """The GPUs that captions may be made on; none where the captioner needs none."""
        if self.captioner.backend == "palette" or self.captioner.device == "cpu":
            return ()
        return self.settings.execution.gpus or tuple(range(gpu_count()))

    @cached_property
    def _captioner_fingerprint(self) -> dict[str, str]:
        return captioner_fingerprint(self.caption_env, self.captioner)

    def check(self) -> None:
        """See that engine, anchor and captioner have all that they need.

        Raises:
            InputError: everything that is missing, and how to get it.
        """
        checks = [super().check, lambda: check_captioner(self.caption_env, self.captioner, PROJECT_ROOT)]
        if self.settings.judge.judge:
            checks.append(lambda: check_judge(self.captioner))
        check_all(*checks)

    @property
    def needs_coarse(self) -> bool:
        """Phase 1 runs unless nothing would look at its result."""
        compared = self.settings.products.save_comparison and not separate_prior(self.remover)
        return self.settings.prompts.caption_source == "coarse" or compared

    def coarse(self, video: Video, fingerprints: Fingerprints) -> CoarseJob:
        plain = self.removal(video, fingerprints, anchor=False, text=False)
        return CoarseJob(**{**plain, "processing": self.settings.phase1_processing})

    def prompt_file(self, video: Video) -> Path:
        return self.settings.prompt_cache_dir / f"{video.name}.yaml"

    def caption(self, coarse: CoarseJob, coarse_key: str) -> CaptionJob:
        """The job whose pictures are the phase-1 result (`coarse_key` stands for it) or the source's frames."""
        prompts, processing = self.settings.prompts, self.settings.processing
        original = prompts.caption_source == "original"
        prompt_file = self.prompt_file(coarse.video)
        return CaptionJob(
            video=coarse.video,
            output_dir=self.settings.output_dir,
            source_key=coarse.video_fingerprint if original else coarse_key,
            source_path=coarse.video.video_path if original else self.result_path(coarse),
            mask_fingerprint=coarse.mask_fingerprint,
            prompt_file=prompt_file,
            captioner_fingerprint=self._captioner_fingerprint,
            object_key=coarse.video_fingerprint if self.captioner.object_negative_prompt else None,
            frame_strategy=prompts.frame_strategy,
            num_sample_frames=prompts.num_sample_frames if prompts.frame_strategy == "multi_sample" else 1,
            n_prompt=NEGATIVE_PROMPT if prompts.n_prompt is None else prompts.n_prompt,
            text_guidance_scale=_or(prompts.text_guidance_scale, TEXT_GUIDANCE_SCALE),
            video_length=processing.video_length,
            mask_dilation_iter=processing.mask_dilation_iter,
            mask_threshold=processing.mask_threshold,
            object_ids=processing.object_ids,
            invert_mask=processing.invert_mask,
            deinterlace=processing.deinterlace,
            reading=coarse.reading,
            watched=coarse.watched,
            edited_sha256=self._edited_sha256(prompt_file),
        )

    def _edited_sha256(self, prompt_file: Path) -> str | None:
        """Set where a person wrote, edited or had captioned the file by hand and nothing forces a new caption."""
        if self.settings.phase_control.force_recaption or not prompt_file.is_file() or written_key(prompt_file):
            return None
        return None if _says_nothing(prompt_file) else sha256_file(prompt_file)

    def refine(self, coarse: CoarseJob) -> RefineJob:
        """The job with the prompt as resolved: flag, else prompt file.

        Raises:
            InputError: the prompt file is missing, broken or holds no prompt.
        """
        file, prompts = read_prompt_file(self.prompt_file(coarse.video)), self.settings.prompts
        words = ResolvedPrompt(
            file.prompt,
            _or(prompts.n_prompt, file.n_prompt),
            _or(prompts.text_guidance_scale, file.text_guidance_scale),
        )
        return RefineJob(**self.guided(coarse.video, Fingerprints.of(coarse), words))

    def judge(self, result: Result) -> JudgeJob:
        """The captioner's model's opinion of a result."""
        job = result.job
        return JudgeJob(
            video=job.video,
            output_dir=self.settings.output_dir,
            video_fingerprint=job.video_fingerprint,
            mask_fingerprint=job.mask_fingerprint,
            processing=job.processing,
            reading=job.reading,
            watched=job.watched,
            result_key=result.key,
            result_path=result.path,
            judge_fingerprint=judge_fingerprint(self._captioner_fingerprint),
            frames=self.settings.judge.judge_frames,
        )

    def comparison_of_phases(self, coarse: CoarseJob, coarse_key: str, refine: RefineJob, key: str) -> ComparisonJob:
        return self.comparison(refine, key, (self.result_path(coarse), coarse_key))


def is_captioned(job: CaptionJob) -> bool:
    """Whether the prompt file that is there is what captioning would give, or a person's own.

    A run that was killed after a file was written has left no record, but the file knows its key.
    """
    if job.edited_sha256 or find_record(job)[0] is not None:
        return True
    return written_key(job.prompt_file) == job.cache_key


def _says_nothing(prompt_file: Path) -> bool:
    """Whether it is empty or holds only comments: then it counts as missing."""
    try:
        return not load_prompt_mapping(prompt_file)
    except InputError:
        return False


def _or(given: _T | None, otherwise: _T) -> _T:
    return otherwise if given is None else given
