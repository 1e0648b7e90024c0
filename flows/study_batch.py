"""From the settings of a study to the job of each variant of each video."""

from pathlib import Path

from flows.batch import Batch
from flows.inputs import Fingerprints
from flows.removal_batch import ResolvedPrompt
from flows.variants import Variant, plan_study
from lib.captioner.prompt_file import TEXT_GUIDANCE_SCALE
from lib.captioner.schema import read_prompt_file
from lib.errors import check_all
from lib.records import PhaseRecord
from lib.settings.study import StudySettings
from tasks.jobs import CoarseJob, VariantJob
from tasks.record_store import find_record


class StudyBatch(Batch):
    """The jobs of `flows/study.py`. Variants that ask for the same thing get jobs with the same key."""

    settings: StudySettings  # type: ignore[assignment]

    def __init__(self, settings: StudySettings) -> None:
        super().__init__(settings)
        given = settings.prompts.text_guidance_scale
        self.plan = plan_study(settings.study, TEXT_GUIDANCE_SCALE if given is None else given)

    def check(self) -> None:
        """As in `Batch`, and your own prompts are there.

        Raises:
            InputError: everything that is missing, and how to get it.
        """
        check_all(super().check, self._check_prompts)

    def _check_prompts(self) -> None:
        path = self.settings.study.prompt_yaml
        if path is None or path.is_dir():  # a folder's files are each their video's own
            return
        read_prompt_file(path)

    @property
    def warnings(self) -> list[str]:
        """What the user may not expect of these settings."""
        found = list(self.plan.remarks)
        if not self.remover.uses_text:
            found.append(f"--engine {self.remover.name} takes no text: variants that differ in text alone are the same")
        return found

    @property
    def needs_captions(self) -> bool:
        return any(variant.words == "caption" for variant in self.plan.variants)

    @property
    def needs_coarse(self) -> bool:
        return self.needs_captions and self.settings.prompts.caption_source == "coarse"

    def variant(self, variant: Variant, coarse: CoarseJob) -> VariantJob | CoarseJob:
        """One variant of the video; without anchor and text at full size that is phase 1 itself, unless a file of
        somebody else's is kept there.

        Raises:
            InputError: a prompt file is missing, broken or holds no prompt.
        """
        fingerprints = Fingerprints.of(coarse)
        words = self._words(variant, coarse.video.name)
        guided = self.guided(coarse.video, fingerprints, words, with_anchor=variant.anchor, with_text=variant.text)
        plain = guided["anchor"] is None and not guided["use_text"]
        if (
            plain
            and not self._keeps(coarse)
            and coarse.processing == self.settings.processing
            and not self.settings.products.lossless
        ):
            return coarse
        return VariantJob(**guided, variant=variant.key)

    def _keeps(self, coarse: CoarseJob) -> bool:
        """Whether phase 1's file is none of ours, and stays."""
        skip = self.settings.phase_control.skip_phase1_if_exists
        return skip and self.result_path(coarse).is_file() and find_record(coarse)[0] is None

    def file_of(self, record: PhaseRecord) -> Path:
        """Where a result lies: perhaps with another variant, which made it in an earlier run."""
        name = f"{self.remover.name}.mp4"
        return self.settings.output_dir / next(a.path for a in record.artifacts if Path(a.path).name == name)

    def _words(self, variant: Variant, name: str) -> ResolvedPrompt:
        if variant.words == "none":
            return ResolvedPrompt("", "", 0.0)
        file, prompts = read_prompt_file(self._source(variant, name)), self.settings.prompts
        scales = (variant.guidance, prompts.text_guidance_scale, file.text_guidance_scale)
        return ResolvedPrompt(
            file.prompt,
            file.n_prompt if prompts.n_prompt is None else prompts.n_prompt,
            next(scale for scale in scales if scale is not None),
        )

    def _source(self, variant: Variant, name: str) -> Path:
        own = self.settings.study.prompt_yaml
        if variant.words == "caption" or own is None:
            return self.settings.prompt_cache_dir / f"{name}.yaml"
        return own / f"{name}.yaml" if own.is_dir() else own
