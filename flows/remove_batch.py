"""From settings and videos to the jobs of one removal pass, with the prompt that each of them takes."""

from pathlib import Path

from flows.inputs import Fingerprints
from flows.removal_batch import RemovalBatch, ResolvedPrompt
from lib.captioner.prompt_file import TEXT_GUIDANCE_SCALE
from lib.captioner.schema import PromptFile, read_prompt_file
from lib.errors import InputError
from lib.settings import RemoveSettings
from lib.video.datasets import Video
from tasks.jobs import RemoveJob


class RemoveBatch(RemovalBatch[RemoveSettings]):
    """The jobs of `flows/remove.py`."""

    def check(self) -> None:
        """See that engine, anchor and the prompt that was promised are there.

        Raises:
            InputError: weights are missing, or the prompt is.
        """
        super().check()
        yaml = self.settings.prompts.prompt_yaml
        if yaml is None or not yaml.is_dir():  # a folder's files are each their video's own
            self._words("")

    @property
    def warnings(self) -> list[str]:
        """What the user may not expect of prompts and modes."""
        prompts, notes = self.settings.prompts, super().warnings
        promised = prompts.prompt is not None or prompts.prompt_yaml is not None
        if promised and not self._takes_prompt:
            notes.append(
                "the prompt plays no part here: neither the anchor nor, without --use_text, the network takes it"
            )
        if self._takes_prompt and not promised:
            notes.append("no prompt was given: the empty prompt is used (--prompt or --prompt_yaml give one)")
        return notes

    @property
    def _takes_prompt(self) -> bool:
        return self.anchor_takes_prompt or (self.settings.prompts.use_text and self.remover.uses_text)

    def remove(self, video: Video, fingerprints: Fingerprints) -> RemoveJob:
        """Raises InputError: a prompt was promised and is not there."""
        return RemoveJob(**self.guided(video, fingerprints, self._words(video.name)))

    def _words(self, name: str) -> ResolvedPrompt:
        """Flag, else prompt file, else the default, each word by itself."""
        if not self._takes_prompt:
            return ResolvedPrompt("", "", 0.0)
        prompts, file = self.settings.prompts, self._prompt_file(name)
        prompt = prompts.prompt if prompts.prompt is not None else (file.prompt if file else "")
        if prompts.prompt is not None and not prompt.strip():
            raise InputError(
                "--prompt is empty; --use_anchor with sd-inpaint and --use_text take a description of the background "
                "(leave --prompt out to go without one)"
            )
        n_prompt, scale = prompts.n_prompt, prompts.text_guidance_scale
        return ResolvedPrompt(
            prompt.strip(),
            n_prompt if n_prompt is not None else (file.n_prompt if file else ""),
            scale if scale is not None else (file.text_guidance_scale if file else TEXT_GUIDANCE_SCALE),
        )

    def _prompt_file(self, name: str) -> PromptFile | None:
        given = self.settings.prompts.prompt_yaml
        if given is None:
            return None
        path: Path = given / f"{name}.yaml" if given.is_dir() else given
        # A prompt of the command line stands in for the file's, whatever that is.
        return read_prompt_file(path, prompt="-" if self.settings.prompts.prompt is not None else None)
