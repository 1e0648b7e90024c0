"""Whole runs: masks, encoding, pre-inference, denoising, decoding and composing."""

import numpy as np
import torch
from eraser_goldens import Golden, autoencoder, brushnet, each_golden, motion_unet
from eraser_runs import RecordedLoop
from given_draws import GivenDraws

from lib.diffueraser.guidance import TextGuidance
from lib.diffueraser.models import EraserModels
from lib.diffueraser.pipeline import Clip, DiffuEraser
from lib.diffueraser.reference_inputs import process_masks
from lib.diffueraser.settings import EraserSettings
from lib.video.compose import Feather, GaussianBlend, compose


@each_golden("forward")
def test_whole_run(golden_path):
    golden = Golden(golden_path)
    meta = golden.meta
    clip = read_clip(golden)
    models = EraserModels(
        brushnet(golden.config, meta["brushnet_seed"]),
        motion_unet(golden.config, meta["unet_seed"]),
        autoencoder(meta["vae_config"], meta["vae_seed"]),
    )
    eraser = DiffuEraser(
        models, EraserSettings(nframes=meta["nframes"], steps=meta["steps"], cfg_gate="reference", precision="fp32")
    )
    eraser.denoise = loop = RecordedLoop(eraser.denoise)
    positive, negative = golden.tensor("prompt_embeds"), golden.tensor("negative_prompt_embeds")
    raw = eraser(clip, TextGuidance(positive, negative, meta["guidance_scale"] or 0.0), given_draws(golden)).frames
    blend = GaussianBlend() if meta["blended"] else Feather(0)
    composed = np.stack(list(compose(clip.frames, raw, clip.masks, blend)))
    assert len(loop.calls) == 1 + meta["pre_inference"]
    values = dict(zip(("latents_in", "latents_out"), loop.calls[-1], strict=True))
    if meta["pre_inference"]:
        values |= dict(zip(("pre_latents_in", "pre_latents_out"), loop.calls[0], strict=True))
    stored = slice(None, None, meta["store_every"])
    golden.check_all(values | {"raw_frames": raw[stored], "comp": composed[stored]})
    assert abs(composed.mean(dtype=np.float64) - meta["comp_mean"]) <= meta["uint8_rule"]["max_fraction"]


def read_clip(golden):
    frames = golden.array("frames")
    assert len(frames) == golden.meta["n"]
    gray = np.repeat(golden.array("masks")[..., None], 3, axis=-1)
    masks = process_masks(gray, (frames.shape[2], frames.shape[1]), golden.meta["mask_dilation_iter"])
    return Clip(frames, masks > 0, golden.array("priors"))


def given_draws(golden):
    posteriors = {"prior": golden.tensor("eps_prior"), "conditioning": golden.tensor("eps_main_cond")}
    if golden.has("eps_pre_cond"):
        posteriors["pre_conditioning"] = golden.tensor("eps_pre_cond")
    return GivenDraws(golden.tensor("noise_pre"), posteriors, torch.zeros(0))
