"""Everything that one night over an inbox needs to know."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from lib.runtime.user_folders import expanded
from lib.settings.engines import Anchor, DiffuEraserOptions, Engine, PropainterPrior
from lib.settings.groups import (
    BatchExecution,
    CaptionEnvironment,
    InputOutput,
    InputRules,
    Judge,
    Metrics,
    Phase1Speed,
    PhaseControl,
    Processing,
    Products,
    Prompts,
    SettingsGroup,
)
from lib.settings.runs import AutoRefineSettings


class Inbox(SettingsGroup):
    """Which folder is watched, and what is taken from it."""

    inbox: Path = Field(description="folder with a folder for each video: <name>/video* and <name>/mask*")
    outbox: Path = Field(description="everything is written here: phase1/, prompt_cache/, final/, reports/")
    settle_seconds: float = Field(
        default=60.0, ge=0, description="a video is taken once nothing in its folder has changed for so many seconds"
    )
    max_attempts: int = Field(
        default=3, ge=1, description="runs in which a failing video is tried, until its files change"
    )
    follow_links: bool = Field(
        default=False,
        description="also take videos with links that lead out of the inbox: whoever can write to it can then have "
        "published what you can read",
    )
    max_videos: int = Field(default=0, ge=0, description="videos of one run at most, the oldest first; 0 = all")


class InboxSettings(SettingsGroup):
    """What to watch, and for what is found there the groups of `AutoRefineSettings`."""

    inbox: Inbox
    caption_environment: CaptionEnvironment = CaptionEnvironment()
    prompts: Prompts = Prompts()
    phase_control: PhaseControl = PhaseControl()
    phase1_speed: Phase1Speed = Phase1Speed()
    engine: Engine = Engine()
    diffueraser: DiffuEraserOptions = DiffuEraserOptions()
    propainter: PropainterPrior = PropainterPrior()
    processing: Processing = Processing()
    input_rules: InputRules = InputRules()
    anchor: Anchor = Anchor()
    products: Products = Products()
    metrics: Metrics = Metrics()
    judge: Judge = Judge()
    execution: BatchExecution = BatchExecution()

    @model_validator(mode="after")
    def _check_folders(self) -> Self:
        inbox, outbox = (expanded(path).absolute() for path in (self.inbox.inbox, self.inbox.outbox))
        if outbox.is_relative_to(inbox):
            raise ValueError(f"the outbox {outbox} lies in the inbox {inbox}; give a folder beside it")
        return self

    @model_validator(mode="after")
    def _check_run(self) -> Self:
        self.run_settings()
        return self

    @property
    def output_dir(self) -> Path:
        """The folder below which everything is written."""
        return self.inbox.outbox

    def run_settings(self, names: Sequence[str] = ()) -> AutoRefineSettings:
        """The settings of the run over these videos of the inbox (none named: over all)."""
        source = InputOutput(
            dataset="inbox",
            video_root=self.inbox.inbox,
            mask_root=self.inbox.inbox,
            video_names=tuple(names),
            output_dir=self.inbox.outbox,
        )
        return AutoRefineSettings(input_output=source, **self._groups())

    def with_absolute_paths(self) -> Self:
        """The same settings, independent of the folder in which they are read (a worker has its own)."""
        run = self.run_settings().with_absolute_paths()
        folders = {"inbox": run.input_output.video_root, "outbox": run.output_dir}
        groups = {name: getattr(run, name) for name in self._groups()}
        return type(self)(inbox=self.inbox.model_copy(update=folders), **groups)

    def _groups(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name != "inbox"}
