"""The denoising loop: windows, guidance, sampler and blending together."""

import numpy as np
import torch
from eraser_goldens import Golden, brushnet, each_golden, motion_unet

from lib.diffueraser.denoise import Denoiser, Stochastic
from lib.diffueraser.guidance import TextGuidance
from lib.diffueraser.latents import LatentStore
from lib.diffueraser.pictures import known_cells
from lib.diffueraser.settings import EraserSettings
from lib.diffueraser.windows import window_lists

CELL = 8


class RecordedBrushNet:
    """BrushNet at a scale; notes how many latents each call had."""

    def __init__(self, net, scale):
        self.net, self.scale = net, scale
        self.calls = []

    def __call__(self, sample, timestep, text, cond):
        assert len(sample) % len(text) == 0  # each row of text serves as many frames
        self.calls.append(len(sample))
        return self.net(sample, timestep, text, cond, scale=self.scale)


@each_golden("loop")
def test_latents_after_every_step(golden_path):
    golden = Golden(golden_path)
    meta = golden.meta
    windows = window_lists(meta["n_total"], min(meta["nframes"], meta["n_total"]))
    assert [[window.start, window.stop] for window in windows.even] == meta["windows_even"]
    assert [[window.start, window.stop] for window in windows.odd] == meta["windows_odd"]
    recorded = RecordedBrushNet(brushnet(golden.config, meta["brushnet_seed"]), meta["brushnet_conditioning_scale"])
    settings = EraserSettings(nframes=meta["nframes"], steps=meta["steps"], cfg_gate="reference")
    denoise = Denoiser(recorded, motion_unet(golden.config, meta["unet_seed"]), settings)
    text = TextGuidance(golden.tensor("prompt_embeds"), golden.tensor("negative_prompt_embeds"), meta["guidance_scale"])
    after = []
    denoise(
        LatentStore.of(golden.tensor("latents")),
        LatentStore.of(conditioning(golden)),
        text,
        windows,
        stochastic=stochastic(golden),
        on_step=lambda _index, latents: after.append(latents.tensor()),
    )
    assert len(after) == meta["steps"]
    golden.check_all({f"step_{step:02}": latents for step, latents in enumerate(after[:-1])} | {"out": after[-1]})
    useless = meta["guidance_scale"] > 1 and torch.equal(text.positive, text.negative)  # a second pass, left out
    assert recorded.calls == [latent_rows // (1 + useless) for latent_rows, _ in meta["calls"]]


def conditioning(golden):
    known = golden.tensor("mask_latent").float()
    holes = np.unpackbits(golden.array("pixel_masks"), axis=-1)[..., : CELL * known.shape[-1]]
    assert torch.equal(known_cells(torch.from_numpy(holes).bool(), CELL, "nearest"), known)
    return torch.cat([golden.tensor("cond_raw") * golden.meta["scaling_factor"], known], dim=1)


def stochastic(golden):
    if not golden.meta["eta"]:
        return None
    stored = iter(golden.tensors("tcd_draw"))
    seed = golden.meta["generator_seed"]
    generator = None if seed is None else torch.Generator().manual_seed(seed)

    def draw(shape):
        noise = next(stored, None)
        return torch.randn(shape, generator=generator) if noise is None else noise

    return Stochastic(golden.meta["eta"], draw)
