"""The groups that say what fills the hole: engine, its prior, its anchor."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from lib.runtime.user_folders import expanded
from lib.settings.groups import SettingsGroup

EngineName = Literal["diffueraser", "propagation", "propainter"]
AnchorName = Literal["sd-inpaint", "propainter", "patch"]

# What each engine can do with an anchor; the first is its default.
ANCHORS_OF_ENGINE: dict[EngineName, tuple[AnchorName, ...]] = {
    "diffueraser": ("sd-inpaint", "propainter", "patch"),
    "propagation": ("patch",),
    "propainter": ("propainter",),
}


# Folders below --weights_dir, by the setting that each of them is the default of; all but the anchor's are the names
# that their publishers gave them.
WEIGHT_FOLDERS = {
    "base_model_path": "stable-diffusion-v1-5",
    "vae_path": "sd-vae-ft-mse",
    "diffueraser_path": "diffuEraser",
    "pcm_weights_path": "PCM_Weights",
    "propainter_model_dir": "propainter",
    "anchor_model_path": "stable-diffusion-inpainting",
    "caption_model_path": "Qwen2.5-VL-7B-Instruct",
}


# The same for the metrics' networks, all below one folder: what is there is used, and nothing has to be.
METRICS_FOLDER = "metrics"
METRIC_WEIGHTS = {
    "lpips_path": f"{METRICS_FOLDER}/lpips",
    "i3d_path": f"{METRICS_FOLDER}/i3d/i3d_rgb_imagenet.pt",
    "clip_path": f"{METRICS_FOLDER}/clip-vit-large-patch14",
}


class Engine(SettingsGroup):
    """Which engine removes the object."""

    engine: EngineName = Field(
        default="diffueraser", description="what fills the hole; propagation needs no weights, the others do"
    )
    weights_dir: Path | None = Field(
        default=None, description="folder with all weights, as `make weights` fills it; single paths win over it"
    )

    def weights(self, setting: str, given: Path | None) -> Path | None:
        """A path of weights as given, else its folder below `weights_dir`, else None."""
        return given or (self.weights_dir / WEIGHT_FOLDERS[setting] if self.weights_dir else None)


class DiffuEraserOptions(SettingsGroup):
    """The DiffuEraser networks, for --engine diffueraser."""

    base_model_path: Path | None = Field(
        default=None, description="folder stable-diffusion-v1-5, of which tokenizer/ and text_encoder/ are used"
    )
    vae_path: Path | None = Field(default=None, description="folder sd-vae-ft-mse")
    diffueraser_path: Path | None = Field(default=None, description="folder diffuEraser: brushnet/ and unet_main/")
    pcm_weights_path: Path | None = Field(default=None, description="folder PCM_Weights, or its sd15/")
    pcm_steps: Literal[2, 4, 8, 16] = Field(default=2, description="denoising steps, and the LoRA made for them")
    nframes: int = Field(
        default=22, ge=1, le=31, description="frames that the networks see at once; the anchor is one more"
    )
    cfg_gate: Literal["exact", "reference"] = Field(
        default="exact", description="exact: any guidance counts and 0 is no text; reference: it counts above 1 only"
    )
    window_blend: Literal["reference", "smooth"] = Field(
        default="reference", description="how neighbouring windows meet; smooth fades over all frames they share"
    )
    posterior: Literal["sample", "mode"] = Field(
        default="sample", description="latents of the frames: a draw as published, or the most likely value"
    )
    noise: Literal["repeated", "fresh"] = Field(
        default="repeated", description="repeated: frames t and t + nframes share noise, as published"
    )
    pre_inference_frames: Literal["8bit", "exact"] = Field(
        default="8bit", description="how pre-denoised frames are handed on; 8bit is as published"
    )
    latent_mask: Literal["nearest", "any"] = Field(
        default="nearest", description="an 8x8 cell is hole if its first pixel is (as published), or if any is"
    )
    anchor_scope: Literal["windows", "main"] = Field(
        default="windows", description="which windows see the anchor: all, or the main run's first"
    )
    offload: bool = Field(default=False, description="small GPU: only the networks at work are on it; slower")


class PropainterPrior(SettingsGroup):
    """The ProPainter networks: the engine of that name, and the prior of --engine diffueraser."""

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
        default="fp16", description="of all networks on a GPU; the CPU always takes fp32"
    )
    raft_precision: Literal["fp32", "fp16"] = Field(default="fp32", description="of the optical flow on a GPU")


class Anchor(SettingsGroup):
    """The one picture that a guided removal spreads over what no frame ever shows."""

    anchor_method: AnchorName | None = Field(
        default=None,
        description="what fills the anchor frame: sd-inpaint (follows the prompt; for diffueraser), propainter (the "
        "prior's own frame; for diffueraser and propainter) or patch (no weights; for diffueraser and propagation); "
        "default: what the engine takes",
    )
    anchor_model_path: str = Field(
        default="stable-diffusion-v1-5/stable-diffusion-inpainting",
        description="of sd-inpaint: a folder, or a hub name that was downloaded before",
    )
    anchor_steps: int = Field(default=50, ge=1, description="denoising steps of sd-inpaint")
    anchor_frame_idx: int = Field(
        default=0, ge=0, description="the frame that is filled (the last one if the clip is shorter)"
    )

    @field_validator("anchor_model_path")
    @classmethod
    def _absolute_folder(cls, value: str) -> str:
        """A folder is found from wherever the settings are read; a hub name stays one."""
        path = expanded(Path(value))
        return str(path.absolute()) if path.is_dir() else value


class RemoveAnchor(Anchor):
    """The one picture that is spread over what no frame ever shows."""

    use_anchor: bool = Field(default=False, description="fill one frame first, and let the others follow it")
