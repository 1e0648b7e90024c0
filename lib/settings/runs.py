"""Everything that one run of a flow needs to know, made of groups."""

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, model_validator

from lib.runtime.user_folders import expanded
from lib.settings.engines import (
    ANCHORS_OF_ENGINE,
    METRIC_WEIGHTS,
    WEIGHT_FOLDERS,
    Anchor,
    DiffuEraserOptions,
    Engine,
    PropainterPrior,
    RemoveAnchor,
)
from lib.settings.groups import (
    BatchExecution,
    CaptionEnvironment,
    Execution,
    InputOutput,
    InputRules,
    InputSource,
    Judge,
    Metrics,
    Phase1Speed,
    PhaseControl,
    Processing,
    Products,
    Prompts,
    RemoveControl,
    RemoveExecution,
    RemoveInputOutput,
    RemovePrompts,
    SettingsGroup,
    Words,
)

_Group = TypeVar("_Group", bound=SettingsGroup)


class RunSettings(SettingsGroup):
    """What all flows share. A flow narrows some of the groups (which the checker minds) and adds its own."""

    input_output: InputSource
    prompts: Words = Words()
    engine: Engine = Engine()
    diffueraser: DiffuEraserOptions = DiffuEraserOptions()
    propainter: PropainterPrior = PropainterPrior()
    processing: Processing = Processing()
    input_rules: InputRules = InputRules()
    anchor: Anchor = Anchor()
    products: Products = Products()
    metrics: Metrics = Metrics()
    execution: Execution = Execution()

    @model_validator(mode="after")
    def _check_input(self) -> Self:
        io = self.input_output
        single = {"input_video": io.input_video, "input_mask": io.input_mask}
        batch = {"dataset": io.dataset, "video_root": io.video_root, "mask_root": io.mask_root}
        given = [name for name, value in {**single, **batch}.items() if value is not None]
        if io.dataset == "inbox" and io.mask_root is None:
            del batch["mask_root"]  # videos and masks share their folders
        wanted = single if io.input_video or io.input_mask else batch
        if set(given) != set(wanted):
            raise ValueError(
                f"found the inputs {', '.join(given) or 'none'}; give either input_video and input_mask (one video), "
                "or dataset, video_root and mask_root (a folder of videos)"
            )
        return self

    @model_validator(mode="after")
    def _check_anchor(self) -> Self:
        engine, method, anchors = self.engine.engine, self.anchor.anchor_method, ANCHORS_OF_ENGINE[self.engine.engine]
        if method is not None and method not in anchors:
            raise ValueError(
                f"--anchor_method {method} does not go with --engine {engine}, which takes {' or '.join(anchors)}; "
                "leave --anchor_method out or choose another --engine"
            )
        return self

    @property
    def output_dir(self) -> Path:
        """The folder below which everything is written."""
        raise NotImplementedError

    @property
    def strict(self) -> bool:
        """Whether a skipped video is a failure."""
        raise NotImplementedError

    @property
    def engine_anchor(self) -> Anchor | None:
        """The anchor as asked for, or the one that suits the engine; None where there is to be none."""
        method = self.anchor.anchor_method or ANCHORS_OF_ENGINE[self.engine.engine][0]
        plain = {name: getattr(self.anchor, name) for name in Anchor.model_fields}
        if plain["anchor_model_path"] == Anchor.model_fields["anchor_model_path"].default:
            folder = self.engine.weights("anchor_model_path", None)
            if folder and folder.is_dir():  # else the hub's cache may have it
                plain["anchor_model_path"] = str(folder)
        return Anchor(**{**plain, "anchor_method": method})

    @property
    def engine_prior(self) -> PropainterPrior | None:
        """The prior's settings where the engine has a prior."""
        return None if self.engine.engine == "propagation" else self._with_weights(self.propainter)

    @property
    def propainter_model_dir(self) -> Path | None:
        """The folder of ProPainter's weights, whatever the engine."""
        return self._with_weights(self.propainter).propainter_model_dir

    @property
    def engine_options(self) -> DiffuEraserOptions | None:
        """The options of DiffuEraser where that is the engine."""
        return self._with_weights(self.diffueraser) if self.engine.engine == "diffueraser" else None

    @property
    def gt_root(self) -> Path | None:
        """Where the ground truth is, if anything looks at it."""
        wanted = not self.metrics.no_metrics or self.products.save_comparison
        return self.metrics.gt_root if wanted else None

    @property
    def metric_weights(self) -> dict[str, Path]:
        """Weights of the metrics' networks by setting: as given, else those below --weights_dir that are there."""
        given = {name: getattr(self.metrics, name) for name in METRIC_WEIGHTS}
        found = {name: path or self._metric_weights_below(METRIC_WEIGHTS[name]) for name, path in given.items()}
        return {name: path for name, path in found.items() if path is not None}

    def _metric_weights_below(self, place: str) -> Path | None:
        path = self.engine.weights_dir / place if self.engine.weights_dir else None
        return path if path and path.exists() else None

    def _with_weights(self, group: _Group) -> _Group:
        """The group with every path of weights that it leaves open below --weights_dir."""
        names = WEIGHT_FOLDERS.keys() & type(group).model_fields.keys()
        return group.model_copy(update={name: self.engine.weights(name, getattr(group, name)) for name in names})

    def with_absolute_paths(self) -> Self:
        """The same settings, independent of the folder in which they are read (a worker has its own)."""
        return type(self).model_validate(_absolute(self.model_dump()))


class AutoRefineSettings(RunSettings):
    """Everything one run of `flows/auto_refine.py` needs to know."""

    input_output: InputOutput  # type: ignore[assignment]
    caption_environment: CaptionEnvironment = CaptionEnvironment()
    prompts: Prompts = Prompts()  # type: ignore[assignment]
    phase_control: PhaseControl = PhaseControl()
    phase1_speed: Phase1Speed = Phase1Speed()
    judge: Judge = Judge()
    execution: BatchExecution = BatchExecution()  # type: ignore[assignment]

    @model_validator(mode="after")
    def _check_captioner(self) -> Self:
        wants = {"object_negative_prompt": self.prompts.object_negative_prompt}
        wants |= {"system_prompt_file": self.prompts.system_prompt_file is not None}
        if self.caption_backend == "palette" and any(wants.values()):
            flags = " and ".join(f"--{name}" for name, wanted in wants.items() if wanted)
            raise ValueError(f"{flags} cannot go with the palette captioner; give --caption_model_path")
        return self

    @property
    def caption_model(self) -> str | None:
        """The captioner's model as given, else the one below --weights_dir if it is there; None: the default one."""
        if given := self.caption_environment.caption_model_path:
            return given
        folder = self.engine.weights("caption_model_path", None)
        return str(folder) if folder and folder.is_dir() else None

    @property
    def caption_backend(self) -> Literal["vlm", "palette"]:
        """What writes the sentence: as asked for, else what suits the engine."""
        wanted = self.caption_environment
        follows_words = self.engine.engine == "diffueraser"
        return wanted.caption_backend or ("vlm" if wanted.caption_model_path or follows_words else "palette")

    def with_absolute_paths(self) -> Self:
        settings = super().with_absolute_paths()
        model = settings.caption_environment.caption_model_path
        if model is None or not expanded(Path(model)).exists():  # then it is a hub name, or an error to come
            return settings
        absolute = {"caption_model_path": str(expanded(Path(model)).absolute())}
        environment = settings.caption_environment.model_copy(update=absolute)
        return settings.model_copy(update={"caption_environment": environment})

    @property
    def output_dir(self) -> Path:
        return self.input_output.output_dir

    @property
    def strict(self) -> bool:
        return self.phase_control.strict

    @property
    def prompt_cache_dir(self) -> Path:
        return self.prompts.prompt_cache_dir or self.output_dir / "prompt_cache"

    @property
    def phase1_processing(self) -> Processing:
        """The settings of the coarse pass: as asked, or at the low size with --phase1_downscale."""
        if not self.phase1_speed.phase1_downscale:
            return self.processing
        low = {"height": self.phase1_speed.phase1_H, "width": self.phase1_speed.phase1_W}
        return self.processing.model_copy(update=low)


class RemoveSettings(RunSettings):
    """Everything one run of `flows/remove.py` needs to know."""

    input_output: RemoveInputOutput  # type: ignore[assignment]
    prompts: RemovePrompts = RemovePrompts()  # type: ignore[assignment]
    control: RemoveControl = RemoveControl()
    anchor: RemoveAnchor = RemoveAnchor()  # type: ignore[assignment]
    execution: RemoveExecution = RemoveExecution()  # type: ignore[assignment]

    @property
    def output_dir(self) -> Path:
        return self.input_output.save_path

    @property
    def strict(self) -> bool:
        return self.control.strict

    @property
    def engine_anchor(self) -> Anchor | None:
        return super().engine_anchor if self.anchor.use_anchor else None


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _absolute(item) for name, item in value.items()}
    return expanded(value).absolute() if isinstance(value, Path) else value


def fields_by_name(settings: type[BaseModel]) -> dict[str, str]:
    """Flag name -> name of the group that holds it, for flat config files."""
    groups = {name: field.annotation for name, field in settings.model_fields.items()}
    return {flag: name for name, group in groups.items() for flag in getattr(group, "model_fields", {})}
