"""The groups that say what comes in, what goes out and how a run is carried out."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from lib.captioner.backend import DEFAULT_MODEL, MAX_PIXELS


def _number_properties(schema: dict[str, Any]) -> None:
    """Forms show fields in this order; a database may not keep that of the schema itself."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position


class SettingsGroup(BaseModel):
    """A frozen section of the settings; unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_number_properties)


class InputSource(SettingsGroup):
    """Where the videos come from."""

    input_video: Path | None = Field(default=None, description="single-video mode: a video file or a folder of frames")
    input_mask: Path | None = Field(default=None, description="single-video mode: masks (folder, video or one picture)")
    dataset: Literal["davis", "youtube-vos", "custom", "inbox"] | None = Field(
        default=None, description="batch mode: data-set layout"
    )
    video_root: Path | None = Field(
        default=None, description="batch mode: folder with one video (or frame folder) per name"
    )
    mask_root: Path | None = Field(
        default=None,
        description="batch mode: folder with one mask folder (or file) per name; not needed with --dataset inbox",
    )
    video_names: tuple[str, ...] = Field(default=(), description="batch mode: only these videos, as a,b,c")


class InputOutput(InputSource):
    """Where the videos come from and where everything goes."""

    output_dir: Path = Field(description="everything is written here: phase1/, prompt_cache/, final/, summary.json")


class RemoveInputOutput(InputSource):
    """Where the videos come from and where everything goes."""

    save_path: Path = Field(description="everything is written here: a folder for each video, summary.json")


class CaptionEnvironment(SettingsGroup):
    """How the captioner runs."""

    caption_env: str | None = Field(
        default=None,
        description="conda env name, venv folder or interpreter; default: .venv-caption if built",
    )
    caption_backend: Literal["vlm", "palette"] | None = Field(
        default=None,
        description="what writes the sentence: a vision-language model, or palette, which needs no weights; default: "
        "vlm with --caption_model_path or --engine diffueraser, else palette",
    )
    caption_model_path: str | None = Field(
        default=None, description=f"vision-language model, a folder or a hub name; default: {DEFAULT_MODEL}"
    )
    caption_device: Literal["auto", "cuda", "cpu"] = Field(default="auto", description="where the model runs")
    caption_dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        default="auto", description="its numbers; default: bfloat16 on a GPU that has it, float32 on the CPU"
    )
    caption_attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = Field(
        default="auto", description="its attention code; default: sdpa"
    )
    caption_max_pixels: int = Field(
        default=MAX_PIXELS, ge=56 * 56, description="larger frames are shown to the model at so many pixels"
    )
    caption_timeout: float = Field(
        default=600.0, gt=0, description="seconds that one video's caption may take, loading the model not counted"
    )


class Words(SettingsGroup):
    """What the networks are told in words."""

    use_text: bool = Field(
        default=False, description="the main network follows the prompt as well, not the anchor picture alone"
    )
    n_prompt: str | None = Field(default=None, description="negative prompt; overrides the YAML's")
    text_guidance_scale: float | None = Field(
        default=None, ge=0, description="weight of the prompt with --use_text; overrides the YAML's (else 2.0)"
    )


class Prompts(Words):
    """What is written into, and read from, the per-video prompt files."""

    prompt_cache_dir: Path | None = Field(
        default=None, description="folder of <name>.yaml; default <output_dir>/prompt_cache"
    )
    frame_strategy: Literal["middle", "multi_sample"] = Field(
        default="middle", description="which frames the captioner sees"
    )
    num_sample_frames: int = Field(default=3, ge=1, description="frames for multi_sample")
    multi_sample_merge: Literal["longest", "summary"] = Field(
        default="longest", description="of several frames: the most descriptive sentence, or the model's summary"
    )
    object_negative_prompt: bool = Field(
        default=False, description="the model names the removed object, in front of the negative prompt"
    )
    system_prompt_file: Path | None = Field(
        default=None, description="text file with rules for the model in place of the built-in ones"
    )
    caption_source: Literal["coarse", "original"] = Field(
        default="coarse", description="caption the phase-1 result or the source"
    )


class RemovePrompts(Words):
    """What the anchor and, with --use_text, the main network are told."""

    prompt: str | None = Field(default=None, description="the background in words; overrides the YAML's")
    prompt_yaml: Path | None = Field(
        default=None, description="prompt file for all videos, or a folder with <name>.yaml for each"
    )


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


class RemoveControl(SettingsGroup):
    """What is run again and what is left as it is."""

    force: bool = Field(default=False, description="run again even what is cached")
    strict: bool = Field(default=False, description="exit code 1 also when a video was skipped")


class Phase1Speed(SettingsGroup):
    """A coarse pass at low resolution: it only feeds the captioner."""

    phase1_downscale: bool = Field(default=False, description="run phase 1 at low resolution")
    phase1_W: int = Field(default=432, gt=0, description="its width")  # noqa: N815
    phase1_H: int = Field(default=240, gt=0, description="its height")  # noqa: N815


class Processing(SettingsGroup):
    """How frames and masks are read; part of every removal's cache key."""

    # Came later: left out where they are as by default, so that what was made before them keeps its key.
    _LATER: ClassVar[tuple[str, ...]] = ("invert_mask", "deinterlace", "result_format")

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
    feather: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="pixels over which the result fades into the source; default: as the engine does it",
    )
    seed: int = Field(default=42, ge=0, description="seed of everything random")
    invert_mask: bool = Field(default=False, description="the masks show what is to be kept: everything else goes")
    deinterlace: bool = Field(default=False, description="make whole frames of interlaced ones (bwdif, same rate)")
    result_format: Literal["source", "h264_8bit"] = Field(
        default="source",
        description="source: results keep the source's bit depth, chroma and colour space; h264_8bit: BT.709, 8 bit",
    )

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        as_before = {name for name in self._LATER if getattr(self, name) == fields[name].default}
        return {name: value for name, value in dump(self).items() if name not in as_before}

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        for name in ("video_length", "height", "width"):
            value = getattr(self, name)
            if value != -1 and value < 1:
                raise ValueError(f"{name} is {value}; give a positive number, or -1 for the source's own")
        return self


class InputRules(SettingsGroup):
    """Which doubts about input files are failures; never changes a result."""

    strict_inputs: bool = Field(
        default=False, description="a video about whose files there is a note of the kind 'input' fails"
    )
    accept_damaged: bool = Field(
        default=False, description="take what can be read of videos that are cut short or corrupt"
    )


class Products(SettingsGroup):
    """Files made besides the result."""

    save_comparison: bool = Field(default=False, description="also comparison_4in1.mp4: input, mask, prior, result")
    comparison_fps: int = Field(default=24, gt=0, description="its frame rate")
    lossless: bool = Field(default=False, description="also <engine>.mkv, a lossless copy of the final result (FFV1)")


class Metrics(SettingsGroup):
    """How results are measured; the report says what each number means."""

    gt_root: Path | None = Field(
        default=None,
        description="ground truth: the videos without the object, one entry for each name as in video_root "
        "(single-video mode: the clean video itself)",
    )
    no_metrics: bool = Field(default=False, description="measure nothing")
    skip_vfid: bool = Field(default=False, description="leave VFID out, the slowest of the metrics")
    metrics_protocol: Literal["plain", "propainter"] = Field(
        default="plain", description="plain: at full size, a video counts once; propainter: at 432x240, as in papers"
    )
    metrics_flow: Literal["auto", "dis", "raft"] = Field(
        default="auto", description="optical flow of the warp error; auto: raft where its weights and a GPU are"
    )
    lpips_path: Path | None = Field(
        default=None, description="folder with the weights of LPIPS: AlexNet and lpips_alex.pth"
    )
    i3d_path: Path | None = Field(default=None, description="file i3d_rgb_imagenet.pt, for VFID")
    clip_path: Path | None = Field(
        default=None, description="folder of a CLIP model (transformers' layout), for the temporal consistency"
    )


class Judge(SettingsGroup):
    """What the captioner's model says about results; an opinion, no metric."""

    judge: bool = Field(
        default=False, description="ask the model whether something new or a rest of the object is to be seen"
    )
    judge_frames: int = Field(default=3, ge=1, description="frames of each video that it is asked about")


class Execution(SettingsGroup):
    """How the run is carried out; never changes a result."""

    gpus: tuple[int, ...] = Field(
        default=(), description="only these GPUs, as 0,2 (of those that CUDA_VISIBLE_DEVICES shows); default: all"
    )
    max_workers: int | None = Field(
        default=None, ge=1, description="videos at a time; default: one a GPU, else what the engine suggests"
    )
    task_retries: int = Field(default=1, ge=0, description="times a failed video is tried again in its phase")
    retry_delay: float = Field(
        default=5.0, ge=0, description="seconds before a video is tried again; twice as long each further time"
    )

    @field_validator("gpus")
    @classmethod
    def _check_gpus(cls, gpus: tuple[int, ...]) -> tuple[int, ...]:
        if any(gpu < 0 for gpu in gpus) or len(set(gpus)) < len(gpus):
            raise ValueError(f"gpus is {','.join(map(str, gpus))}; give each GPU's number once, counted from 0")
        return gpus


class BatchExecution(Execution):
    """How the run is carried out; never changes a result."""

    phase1_timeout: float | None = Field(
        default=None, gt=0, description="seconds that a video may take in phase 1, retries included; default: any time"
    )
    phase3_timeout: float | None = Field(default=None, gt=0, description="the same for phase 3")
    shards: int = Field(
        default=0,
        ge=0,
        description="split the batch into so many parts for the boxes whose workers poll shard-pool; default: all here",
    )


class RemoveExecution(Execution):
    """How the run is carried out; never changes a result."""

    timeout: float | None = Field(
        default=None, gt=0, description="seconds that a video may take, retries included; default: any time"
    )
