"""From settings and videos to the jobs of the three phases. The flow runs them, the plan only looks them up."""

from pathlib import Path
from typing import TypeVar

from flows.inputs import Fingerprints
from flows.removal_batch import RemovalBatch, ResolvedPrompt
from lib.captioner.backend import load_captioner
from lib.captioner.environment import CaptionEnv, check_caption_env, resolve_caption_env
from lib.captioner.prompt_file import NEGATIVE_PROMPT, TEXT_GUIDANCE_SCALE, is_ours
from lib.captioner.schema import read_prompt_file
from lib.removers.products import separate_prior
from lib.runtime.fingerprints import sha256_file
from lib.settings import AutoRefineSettings
from lib.video.datasets import Video
from tasks.jobs import CaptionJob, CoarseJob, ComparisonJob, RefineJob

PROJECT_ROOT = Path(__file__).resolve().parents[1]
_T = TypeVar("_T")


class Batch(RemovalBatch[AutoRefineSettings]):
    """The jobs of `flows/auto_refine.py`."""

    def __init__(self, settings: AutoRefineSettings) -> None:
        super().__init__(settings)
        self._captioner_fingerprint = load_captioner(settings.caption_environment.caption_backend).fingerprint()

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
            captioner_backend=self.settings.caption_environment.caption_backend,
            captioner_fingerprint=self._captioner_fingerprint,
            frame_strategy=prompts.frame_strategy,
            num_sample_frames=prompts.num_sample_frames if prompts.frame_strategy == "multi_sample" else 1,
            n_prompt=NEGATIVE_PROMPT if prompts.n_prompt is None else prompts.n_prompt,
            text_guidance_scale=_or(prompts.text_guidance_scale, TEXT_GUIDANCE_SCALE),
            video_length=processing.video_length,
            mask_dilation_iter=processing.mask_dilation_iter,
            mask_threshold=processing.mask_threshold,
            object_ids=processing.object_ids,
            edited_sha256=self._edited_sha256(prompt_file),
        )

    def _edited_sha256(self, prompt_file: Path) -> str | None:
        """Set where a person wrote or edited the file and nothing forces a new caption."""
        if self.settings.phase_control.force_recaption or not prompt_file.is_file() or is_ours(prompt_file):
            return None
        return sha256_file(prompt_file)

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
        fingerprints = Fingerprints(coarse.video_fingerprint, coarse.mask_fingerprint)
        return RefineJob(**self.guided(coarse.video, fingerprints, words))

    def comparison_of_phases(self, coarse: CoarseJob, coarse_key: str, refine: RefineJob, key: str) -> ComparisonJob:
        return self.comparison(refine, key, (self.result_path(coarse), coarse_key))


def check_readiness(batch: Batch) -> CaptionEnv:
    """See before any work that engine, anchor and captioner can run; the caption environment.

    Raises:
        InputError: weights or the caption environment are missing or incomplete.
    """
    batch.check()
    wanted = batch.settings.caption_environment
    env = resolve_caption_env(wanted.caption_env, PROJECT_ROOT)
    check_caption_env(env, wanted.caption_backend, reads_videos=False)
    return env


def _or(given: _T | None, otherwise: _T) -> _T:
    return otherwise if given is None else given
