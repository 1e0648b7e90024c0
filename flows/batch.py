"""From settings and videos to the jobs of each phase. The flow runs them, the plan only looks them up."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lib.captioner.backend import load_captioner
from lib.captioner.environment import CaptionEnv, check_caption_env, resolve_caption_env
from lib.captioner.prompt_file import NEGATIVE_PROMPT, TEXT_GUIDANCE_SCALE, is_ours
from lib.captioner.schema import read_prompt_file
from lib.errors import InputError
from lib.records import canonical_hash
from lib.removers.base import Remover
from lib.removers.registry import get_anchor, get_remover
from lib.runtime.fingerprints import fingerprint_path, sha256_file
from lib.settings import AutoRefineSettings
from lib.video.datasets import DatasetScan, Video, scan_dataset
from tasks.jobs import CaptionJob, CoarseJob, ComparisonJob, RefineJob

PROJECT_ROOT = Path(__file__).resolve().parents[1]
SINGLE_VIDEO = "single_video"
_HASHING_THREADS = 4
_T = TypeVar("_T")


@dataclass(frozen=True)
class Fingerprints:
    """Hashes of the content of one video's inputs."""

    video: str
    mask: str


def find_videos(settings: AutoRefineSettings) -> DatasetScan:
    """The videos to work on, and what was found on one side only.

    Raises:
        InputError: a folder is missing or holds nothing usable, or a video that was asked for is not there.
    """
    io = settings.input_output
    if io.input_video and io.input_mask:
        video = Video(name=SINGLE_VIDEO, video_path=io.input_video, mask_path=io.input_mask)
        return DatasetScan(videos=(video,), unmatched=())
    if not (io.dataset and io.video_root and io.mask_root):
        raise InputError("no input: give input_video and input_mask, or dataset, video_root and mask_root")
    scan = scan_dataset(io.dataset, io.video_root, io.mask_root)
    return _only(scan, io.video_names, io.video_root) if io.video_names else scan


def _only(scan: DatasetScan, names: Sequence[str], root: Path) -> DatasetScan:
    found = [video.name for video in scan.videos] + [item.name for item in scan.unmatched]
    if missing := [name for name in names if name not in found]:
        raise InputError(f"{root}: no video named {', '.join(missing)}; found {', '.join(found) or 'none'}")
    return DatasetScan(
        videos=tuple(video for video in scan.videos if video.name in names),
        unmatched=tuple(item for item in scan.unmatched if item.name in names),
    )


def fingerprint_inputs(videos: Iterable[Video]) -> dict[str, Fingerprints | InputError]:
    """Hashes of every video's frames and masks by name; where they cannot be read, the error instead."""

    def one(video: Video) -> Fingerprints | InputError:
        try:
            return Fingerprints(fingerprint_path(video.video_path), fingerprint_path(video.mask_path))
        except OSError as error:
            return InputError(f"{error.filename or video.video_path}: cannot be read ({error.strerror or error})")

    videos = list(videos)
    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        return dict(zip([video.name for video in videos], pool.map(one, videos), strict=True))


class Batch:
    """Makes each video's jobs; the same settings and inputs always give the same cache keys."""

    def __init__(self, settings: AutoRefineSettings) -> None:
        self.settings = settings
        self.remover: Remover = get_remover(settings.engine, settings.engine_prior)
        self._anchor_fingerprint = get_anchor(settings.engine_anchor or settings.anchor, settings.processing.seed).fingerprint()
        self._captioner_fingerprint = load_captioner(settings.caption_environment.caption_backend).fingerprint()

    @property
    def needs_coarse(self) -> bool:
        """Phase 1 runs unless nothing would look at its result."""
        return self.settings.prompts.caption_source == "coarse" or self.settings.products.save_comparison

    def coarse(self, video: Video, fingerprints: Fingerprints) -> CoarseJob:
        return CoarseJob(
            video=video,
            output_dir=self.settings.output_dir,
            video_fingerprint=fingerprints.video,
            mask_fingerprint=fingerprints.mask,
            engine=self.settings.engine,
            prior=self.settings.engine_prior,
            engine_fingerprint=self.remover.fingerprint(),
            processing=self.settings.phase1_processing,
        )

    def result_path(self, job: CoarseJob | RefineJob) -> Path:
        return job.folder / f"{self.remover.name}.mp4"

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
        """The job with the prompt as resolved: flag, else prompt file; empty where the engine has no use for it.

        Raises:
            InputError: the prompt file is missing, broken or holds no prompt.
        """
        prompt = read_prompt_file(self.prompt_file(coarse.video))
        prompts, uses_prompt = self.settings.prompts, self.remover.uses_prompt
        scale = _or(prompts.text_guidance_scale, prompt.text_guidance_scale)
        return RefineJob(
            **{**dict(coarse), "processing": self.settings.processing},
            anchor=self.settings.engine_anchor or self.settings.anchor,
            anchor_fingerprint=self._anchor_fingerprint,
            prompt=prompt.prompt if uses_prompt else "",
            n_prompt=_or(prompts.n_prompt, prompt.n_prompt) if uses_prompt else "",
            text_guidance_scale=scale if uses_prompt else 0.0,
            lossless=self.settings.products.lossless,
        )

    def comparison(self, coarse: CoarseJob, coarse_key: str, refine: RefineJob, refine_key: str) -> ComparisonJob:
        return ComparisonJob(
            video=coarse.video,
            output_dir=self.settings.output_dir,
            processing=self.settings.processing,
            fps=self.settings.products.comparison_fps,
            engine_title=self.remover.title,
            coarse_key=coarse_key,
            refine_key=refine_key,
            coarse_path=self.result_path(coarse),
            refined_path=self.result_path(refine),
        )


def check_readiness(batch: Batch) -> CaptionEnv:
    """See before any work that engine and captioner can run; the caption environment.

    Raises:
        InputError: weights or the caption environment are missing or incomplete.
    """
    batch.remover.check()
    wanted = batch.settings.caption_environment
    env = resolve_caption_env(wanted.caption_env, PROJECT_ROOT)
    check_caption_env(env, wanted.caption_backend, reads_videos=False)
    return env


def adopted_key(path: Path) -> str:
    """Stands for a result that the cache did not make but that is kept because a flag says so."""
    return f"file-{canonical_hash(sha256_file(path))}"


def _or(given: _T | None, otherwise: _T) -> _T:
    return otherwise if given is None else given
