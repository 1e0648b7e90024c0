"""The runs whose cache keys are stored: settings of every flow, by name. All paths are relative to a folder that
`inputs.lay_out` made.

A later version adds cases here; it never alters, renames or removes one. Where a setting is gone, its case stays
and the new version must still read it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib.settings import AutoRefineSettings, RemoveSettings, RunSettings
from lib.settings.inbox import InboxSettings
from lib.settings.study import StudySettings

Values = Mapping[str, Mapping[str, Any]]  # group -> setting -> value
ENGINES = ("propagation", "propainter", "diffueraser")
MODELS: dict[str, type[RunSettings | InboxSettings]] = {
    "auto_refine": AutoRefineSettings,
    "remove": RemoveSettings,
    "study": StudySettings,
    "inbox": InboxSettings,
}
_VLM = {"caption_backend": "vlm", "caption_model_path": "Qwen/Qwen2.5-VL-7B-Instruct"}
_COMPARED = {"save_comparison": True}
_TRUTH = {"gt_root": "truths"}

# What differs from the defaults; each with every engine.
_ALL_ENGINES: dict[str, Values] = {
    "video_length": {"processing": {"video_length": 3}},
    "height and width": {"processing": {"height": 32, "width": 40}},
    "max_img_size": {"processing": {"max_img_size": 64}},
    "mask_dilation_iter": {"processing": {"mask_dilation_iter": 2}},
    "mask_threshold": {"processing": {"mask_threshold": 100}, "input_output": {"video_names": ["car"]}},
    "object_ids": {"processing": {"object_ids": [1]}},
    "feather": {"processing": {"feather": 3}},
    "seed": {"processing": {"seed": 7}},
    "lossless": {"products": {"lossless": True}},
    "save_comparison": {"products": _COMPARED},
    "comparison_fps": {"products": {**_COMPARED, "comparison_fps": 12}},
    "phase1_downscale": {"phase1_speed": {"phase1_downscale": True}, "products": _COMPARED},
    "phase1_W and phase1_H": {"phase1_speed": {"phase1_downscale": True, "phase1_W": 40, "phase1_H": 32}},
    "use_text": {"prompts": {"use_text": True}},
    "use_text of weight 0": {"prompts": {"use_text": True, "text_guidance_scale": 0.0}},
    "caption_source original": {"prompts": {"caption_source": "original"}},
    "caption_source original, compared": {"prompts": {"caption_source": "original"}, "products": _COMPARED},
    "multi_sample": {"prompts": {"frame_strategy": "multi_sample", "num_sample_frames": 2}},
    "n_prompt and text_guidance_scale": {"prompts": {"n_prompt": "people", "text_guidance_scale": 1.5}},
    "anchor_frame_idx": {"anchor": {"anchor_frame_idx": 2}},
    "captions by a model": {"caption_environment": _VLM},
    "gt_root": {"metrics": _TRUTH, "products": _COMPARED},
    "propainter's protocol": {"metrics": {**_TRUTH, "metrics_protocol": "propainter", "skip_vfid": True}},
    "metrics' networks": {
        "metrics": {
            "lpips_path": "weights/metrics/lpips",
            "i3d_path": "weights/metrics/i3d/i3d_rgb_imagenet.pt",
            "clip_path": "weights/metrics/clip-vit-large-patch14",
        }
    },
    "judge": {"judge": {"judge": True, "judge_frames": 2}, "caption_environment": _VLM},
}
_MODEL_CAPTIONS: dict[str, Values] = {
    "caption_dtype and attention": {
        "caption_environment": {**_VLM, "caption_dtype": "float16", "caption_attention": "eager"}
    },
    "caption_max_pixels": {"caption_environment": {**_VLM, "caption_max_pixels": 100352}},
    "summary": {
        "caption_environment": _VLM,
        "prompts": {"frame_strategy": "multi_sample", "multi_sample_merge": "summary"},
    },
    "object_negative_prompt": {"caption_environment": _VLM, "prompts": {"object_negative_prompt": True}},
    "system_prompt_file": {"caption_environment": _VLM, "prompts": {"system_prompt_file": "rules.txt"}},
}
_PRIOR: dict[str, Any] = {
    "ref_stride": 5,
    "neighbor_length": 10,
    "subvideo_length": 40,
    "raft_iter": 12,
    "numerics": "reference",
    "precision": "fp32",
    "raft_precision": "fp16",
}
_DIFFUERASER: dict[str, Any] = {
    "pcm_steps": 4,
    "nframes": 16,
    "cfg_gate": "reference",
    "window_blend": "smooth",
    "posterior": "mode",
    "noise": "fresh",
    "pre_inference_frames": "exact",
    "latent_mask": "any",
    "anchor_scope": "main",
    "offload": True,
}
_MANY_WORDS = {"use_text": True, "n_prompt": "people", "text_guidance_scale": 1.5}
_MANY: Values = {
    "processing": {"video_length": 3, "height": 32, "width": 40, "mask_dilation_iter": 2, "feather": 2, "seed": 7},
    "products": {"save_comparison": True, "comparison_fps": 12, "lossless": True},
    "metrics": {**_TRUTH, "metrics_protocol": "propainter", "metrics_flow": "dis", "skip_vfid": True},
    "diffueraser": _DIFFUERASER,
    "propainter": _PRIOR,
    "anchor": {"anchor_frame_idx": 1, "anchor_steps": 20},
    "execution": {"max_workers": 1, "task_retries": 0, "retry_delay": 1.0},
}
_MANY_PHASES: Values = {
    **_MANY,
    "prompts": {
        **_MANY_WORDS,
        "frame_strategy": "multi_sample",
        "num_sample_frames": 2,
        "multi_sample_merge": "summary",
        "object_negative_prompt": True,
    },
    "phase_control": {"strict": True},
    "phase1_speed": {"phase1_downscale": True, "phase1_W": 40, "phase1_H": 32},
    "caption_environment": {**_VLM, "caption_max_pixels": 100352, "caption_timeout": 60.0},
    "judge": {"judge": True, "judge_frames": 2},
}


@dataclass(frozen=True)
class Case:
    """One run. `gpus`: how many the machine appears to have."""

    model: str
    values: Values
    gpus: int = 0

    def settings(self) -> RunSettings | InboxSettings:
        return MODELS[self.model].model_validate(self.values)


def all_cases() -> dict[str, Case]:
    """The cases by name."""
    found: dict[str, Case] = {}
    for part in (_auto_refine_cases, _engine_cases, _remove_cases, _study_cases, _inbox_cases):
        for name, case in part():
            assert name not in found, name
            found[name] = case
    return found


def is_parameter_case(name: str) -> bool:
    """Whether the whole settings of a case are stored as well, as a deployment's parameters are."""
    return name.endswith(("defaults", "many settings"))


def _case(model: str, engine: str, changes: Values, gpus: int = 0, names: tuple[str, ...] = ("bear",)) -> Case:
    folder = "save_path" if model == "remove" else "output_dir"
    source = {"dataset": "custom", "video_root": "videos", "mask_root": "masks", folder: "output", "video_names": names}
    basis: Values = {"input_output": source, "engine": {"engine": engine, "weights_dir": "weights"}}
    return Case(model, _merged(basis, changes), gpus)


def _merged(basis: Values, changes: Values) -> Values:
    return {group: {**basis.get(group, {}), **changes.get(group, {})} for group in {**basis, **changes}}


def _auto_refine_cases() -> Iterator[tuple[str, Case]]:
    for engine in ENGINES:
        yield f"auto_refine {engine} defaults", _case("auto_refine", engine, {}, names=())
        yield f"auto_refine {engine} many settings", _case("auto_refine", engine, _MANY_PHASES)
        for name, changes in _ALL_ENGINES.items():
            yield f"auto_refine {engine} {name}", _case("auto_refine", engine, changes)
    for name, changes in _MODEL_CAPTIONS.items():
        yield f"auto_refine propagation {name}", _case("auto_refine", "propagation", changes)


def _engine_cases() -> Iterator[tuple[str, Case]]:
    """Options of the engines that have networks, on a GPU, where each of them counts."""
    for engine in ENGINES[1:]:
        yield f"auto_refine {engine} on a GPU", _case("auto_refine", engine, {}, gpus=1)
        for name, value in _PRIOR.items():
            yield f"auto_refine {engine} {name}", _case("auto_refine", engine, {"propainter": {name: value}}, gpus=1)
    with_text = {"prompts": {"use_text": True}}
    for name, value in _DIFFUERASER.items():
        changes = {"diffueraser": {name: value}, **with_text}
        yield f"auto_refine diffueraser {name}", _case("auto_refine", "diffueraser", changes, gpus=1)
    for method in ("sd-inpaint", "propainter", "patch"):
        changes = {"anchor": {"anchor_method": method}}
        yield f"auto_refine diffueraser anchor {method}", _case("auto_refine", "diffueraser", changes)
    yield "auto_refine diffueraser anchor_steps", _case("auto_refine", "diffueraser", {"anchor": {"anchor_steps": 20}})


def _remove_cases() -> Iterator[tuple[str, Case]]:
    words = {"prompt": "a quiet street", "n_prompt": "people"}
    modes: dict[str, Values] = {
        "many settings": {
            **_MANY,
            "anchor": {**_MANY["anchor"], "use_anchor": True},
            "prompts": {**_MANY_WORDS, "prompt": "a quiet street"},
            "control": {"strict": True},
        },
        "anchor": {"anchor": {"use_anchor": True}, "prompts": words},
        "anchor and text": {"anchor": {"use_anchor": True}, "prompts": {**words, "use_text": True}},
        "text": {"prompts": {**words, "use_text": True, "text_guidance_scale": 1.5}},
        "prompt_yaml": {"anchor": {"use_anchor": True}, "prompts": {"prompt_yaml": "prompt.yaml", "use_text": True}},
        "no prompt": {"anchor": {"use_anchor": True}, "products": {"save_comparison": True}},
        "lossless": {"products": {"lossless": True}},
    }
    for engine in ENGINES:
        yield f"remove {engine} defaults", _case("remove", engine, {}, names=())
        for name, changes in modes.items():
            yield f"remove {engine} {name}", _case("remove", engine, changes)


def _study_cases() -> Iterator[tuple[str, Case]]:
    own = {"prompt_yaml": "prompt.yaml"}
    studies: dict[str, Values] = {
        "ablation of own prompts": {"study": own},
        "guidance": {"study": {"study": "guidance", "guidance_scales": [0.0, 1.0, 2.0]}},
        "prompts": {"study": {**own, "study": "prompts"}},
        "judged": {"judge": {"judge": True}, "caption_environment": _VLM},
        "many settings": {**_MANY_PHASES, "study": {**own, "study": "guidance", "guidance_scales": [0.5, 1.5]}},
    }
    for engine in ENGINES:
        yield f"study {engine} defaults", _case("study", engine, {})
        for name, changes in studies.items():
            yield f"study {engine} {name}", _case("study", engine, changes)


def _inbox_cases() -> Iterator[tuple[str, Case]]:
    folders = {"inbox": "inbox", "outbox": "outbox"}
    basis: Values = {"inbox": folders, "engine": {"weights_dir": "weights"}}
    many = _merged({**_MANY_PHASES, "inbox": {"settle_seconds": 0.0, "max_attempts": 1, "max_videos": 2}}, basis)
    yield "inbox defaults", Case("inbox", basis)
    yield "inbox many settings", Case("inbox", many)
