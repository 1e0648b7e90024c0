"""All settings of a run: one source for flow parameters, command-line flags, config files and cache keys.

Each group is one section of `--help`. A flag is the field's own name (`--video_root`; dashes are accepted too).
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

EngineName = Literal["propagation", "propainter"]
AnchorName = Literal["patch", "propainter"]

# What each engine can do with an anchor; the first is its default.
_ANCHORS: dict[EngineName, tuple[AnchorName, ...]] = {"propagation": ("patch",), "propainter": ("propainter",)}


class SettingsGroup(BaseModel):
    """A frozen section of the settings; unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputOutput(SettingsGroup):
    """Where the videos come from and where everything goes."""

    output_dir: Path = Field(description="everything is written here: phase1/, prompt_cache/, final/, summary.json")
    input_video: Path | None = Field(default=None, description="single-video mode: a video file or a folder of frames")
    input_mask: Path | None = Field(default=None, description="single-video mode: masks (folder, video or one picture)")
    dataset: Literal["davis", "youtube-vos", "custom"] | None = Field(
        default=None, description="batch mode: data-set layout"
    )
    video_root: Path | None = Field(
        default=None, description="batch mode: folder with one video (or frame folder) per name"
    )
    mask_root: Path | None = Field(
        default=None, description="batch mode: folder with one mask folder (or file) per name"
    )
    video_names: tuple[str, ...] = Field(default=(), description="batch mode: only these videos, as a,b,c")


class CaptionEnvironment(SettingsGroup):
    """How the captioner runs."""

    caption_env: str | None = Field(
        default=None,
        description="conda env name, venv folder or interpreter; default: .venv-caption if built",
    )
    caption_backend: Literal["palette"] = Field(
        default="palette", description="what writes the sentence; palette needs no weights"
    )
    caption_timeout: float = Field(default=3600.0, gt=0, description="seconds after which a caption batch is given up")


class Prompts(SettingsGroup):
    """What is written into, and read from, the per-video prompt files."""

    prompt_cache_dir: Path | None = Field(
        default=None, description="folder of <name>.yaml; default <output_dir>/prompt_cache"
    )
    frame_strategy: Literal["middle", "multi_sample"] = Field(
        default="middle", description="which frames the captioner sees"
    )
    num_sample_frames: int = Field(default=3, ge=1, description="frames for multi_sample")
    caption_source: Literal["coarse", "original"] = Field(
        default="coarse", description="caption the phase-1 result or the source"
    )
    n_prompt: str | None = Field(default=None, description="negative prompt; overrides the YAML's")
    text_guidance_scale: float | None = Field(
        default=None, ge=0, description="text guidance; overrides the YAML's (else 2.0)"
    )


class Engine(SettingsGroup):
    """Which engine removes the object."""

    engine: EngineName = Field(
        default="propagation", description="what fills the hole; propagation needs no weights, propainter does"
    )


class PropainterPrior(SettingsGroup):
    """The ProPainter networks, for --engine propainter."""

    propainter_model_dir: Path | None = Field(
        default=None, description="folder with raft-things.pth, recurrent_flow_completion.pth and ProPainter.pth"
    )
    ref_stride: int = Field(default=10, ge=1, description="one frame in so many is a reference for those farther away")
    neighbor_length: int = Field(default=20, ge=2, description="frames that are painted together")
    subvideo_length: int = Field(
        default=80, ge=1, description="frames whose motion is completed together; fewer take less room"
    )
    raft_iter: int = Field(default=20, ge=1, description="refinement steps of the optical flow")
    numerics: Literal["better", "reference"] = Field(
        default="better", description="better rounds and blends more exactly; reference is as published"
    )
    precision: Literal["fp16", "fp32"] = Field(
        default="fp16", description="of the networks on a GPU; the CPU always takes fp32"
    )
    raft_precision: Literal["fp32", "fp16"] = Field(default="fp32", description="of the optical flow on a GPU")


class PhaseControl(SettingsGroup):
    """What is run again and what is left as it is."""

    skip_phase1_if_exists: bool = Field(
        default=False, description="keep any phase-1 result that is there, whoever made it"
    )
    skip_phase3_if_exists: bool = Field(
        default=False, description="keep any final result that is there, whoever made it"
    )
    force_recaption: bool = Field(default=False, description="write all captions again, edited ones too (kept as .bak)")
    force_refine: bool = Field(default=False, description="run phase 3 again even where it is cached")
    strict: bool = Field(default=False, description="exit code 1 also when a video was skipped")


class Phase1Speed(SettingsGroup):
    """A coarse pass at low resolution: it only feeds the captioner."""

    phase1_downscale: bool = Field(default=False, description="run phase 1 at low resolution")
    phase1_W: int = Field(default=432, gt=0, description="its width")  # noqa: N815
    phase1_H: int = Field(default=240, gt=0, description="its height")  # noqa: N815


class Processing(SettingsGroup):
    """How frames and masks are read; part of every removal's cache key."""

    video_length: int = Field(default=-1, description="frames to process, -1 = all")
    height: int = Field(default=-1, description="processing height, -1 = the source's")
    width: int = Field(default=-1, description="processing width, -1 = the source's")
    max_img_size: int = Field(
        default=1280, ge=64, description="a longer side is processed smaller, the hole scaled up again"
    )
    mask_dilation_iter: int = Field(
        default=4, ge=0, le=100, description="pixels by which the mask grows (3x3, so many times)"
    )
    mask_threshold: int | None = Field(
        default=None, ge=0, le=254, description="mask values above are object; default by format"
    )
    object_ids: tuple[int, ...] = Field(default=(), description="remove only these objects of the annotation, as 1,3")
    feather: int = Field(default=3, ge=0, le=64, description="pixels over which the result fades into the source")
    seed: int = Field(default=42, ge=0, description="seed of everything random")

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        for name in ("video_length", "height", "width"):
            value = getattr(self, name)
            if value != -1 and value < 1:
                raise ValueError(f"{name} is {value}; give a positive number, or -1 for the source's own")
        return self


class Anchor(SettingsGroup):
    """The one picture that phase 3 spreads over what no frame ever shows."""

    anchor_method: AnchorName | None = Field(
        default=None,
        description="what fills the anchor frame: patch (no weights; for propagation) or propainter (the prior's own "
        "frame; for propainter); default: what the engine takes",
    )
    anchor_frame_idx: int = Field(
        default=0, ge=0, description="the frame that is filled (the last one if the clip is shorter)"
    )


class Products(SettingsGroup):
    """Files made besides the result."""

    save_comparison: bool = Field(default=False, description="also comparison_4in1.mp4: input, mask, phase 1, result")
    comparison_fps: int = Field(default=24, gt=0, description="its frame rate")
    lossless: bool = Field(default=False, description="also <engine>.mkv, a lossless copy of the final result (FFV1)")


class Execution(SettingsGroup):
    """How the run is carried out; never changes a result."""

    max_workers: int | None = Field(
        default=None, ge=1, description="videos at a time; default: what the engine suggests"
    )
    task_retries: int = Field(default=1, ge=0, description="times a failed video is tried again in its phase")


class AutoRefineSettings(SettingsGroup):
    """Everything one run of `flows/auto_refine.py` needs to know."""

    input_output: InputOutput
    caption_environment: CaptionEnvironment = CaptionEnvironment()
    prompts: Prompts = Prompts()
    phase_control: PhaseControl = PhaseControl()
    engine: Engine = Engine()
    propainter: PropainterPrior = PropainterPrior()
    phase1_speed: Phase1Speed = Phase1Speed()
    processing: Processing = Processing()
    anchor: Anchor = Anchor()
    products: Products = Products()
    execution: Execution = Execution()

    @model_validator(mode="after")
    def _check_input(self) -> Self:
        io = self.input_output
        single = {"input_video": io.input_video, "input_mask": io.input_mask}
        batch = {"dataset": io.dataset, "video_root": io.video_root, "mask_root": io.mask_root}
        given = [name for name, value in {**single, **batch}.items() if value is not None]
        wanted = single if io.input_video or io.input_mask else batch
        if set(given) != set(wanted):
            raise ValueError(
                f"found the inputs {', '.join(given) or 'none'}; give either input_video and input_mask (one video), "
                "or dataset, video_root and mask_root (a folder of videos)"
            )
        return self

    @model_validator(mode="after")
    def _check_anchor(self) -> Self:
        engine, method, anchors = self.engine.engine, self.anchor.anchor_method, _ANCHORS[self.engine.engine]
        if method is not None and method not in anchors:
            raise ValueError(
                f"--anchor_method {method} does not go with --engine {engine}, which takes {' or '.join(anchors)}; "
                "leave --anchor_method out or choose another --engine"
            )
        return self

    @property
    def output_dir(self) -> Path:
        return self.input_output.output_dir

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

    @property
    def engine_anchor(self) -> Anchor:
        """The anchor as asked for, or the one that suits the engine."""
        method = self.anchor.anchor_method or _ANCHORS[self.engine.engine][0]
        return self.anchor.model_copy(update={"anchor_method": method})

    @property
    def engine_prior(self) -> PropainterPrior | None:
        """The prior's settings where the engine has a prior."""
        return self.propainter if self.engine.engine == "propainter" else None

    def with_absolute_paths(self) -> "AutoRefineSettings":
        """The same settings, independent of the folder in which they are read (a worker has its own)."""
        return type(self).model_validate(_absolute(self.model_dump()))


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _absolute(item) for name, item in value.items()}
    return Path(value).expanduser().absolute() if isinstance(value, Path) else value


def fields_by_name(settings: type[SettingsGroup]) -> dict[str, str]:
    """Flag name -> name of the group that holds it, for flat config files."""
    groups = {name: field.annotation for name, field in settings.model_fields.items()}
    return {flag: name for name, group in groups.items() for flag in getattr(group, "model_fields", {})}
