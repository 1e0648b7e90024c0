"""The engine that paints: a ProPainter prior, an anchor picture where one is asked for, then DiffuEraser."""

from __future__ import annotations

import dataclasses
import time
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lib.diffueraser.settings import EraserSettings
from lib.diffueraser.weight_files import WeightPaths, check_weights, weight_files
from lib.errors import InputError, check_all
from lib.removers.anchoring import anchor_index, anchor_picture
from lib.removers.base import RemovalRequest, RemovalResult
from lib.removers.gpu import check_gpu, does_not_fit, gpu_count, torch_device
from lib.removers.propainter import PropainterRemover
from lib.runtime.fingerprints import fingerprint_weights
from lib.video.compose import GaussianBlend

if TYPE_CHECKING:  # torch takes seconds to import: only a process that removes something does
    from lib.diffueraser.guidance import TextGuidance
    from lib.diffueraser.pipeline import DiffuEraser, Erased
    from lib.diffueraser.text import TextEncoder
    from lib.settings import DiffuEraserOptions, PropainterPrior

CODE_VERSION = "1"  # of lib/diffueraser and this module, as far as results go


class DiffuEraserRemover:
    """Paints the hole with DiffuEraser, from the prior's guess."""

    name = "diffueraser"
    title = "DiffuEraser"
    size_multiple = 8
    work_copies = 5.5  # frames, prior and result, the first two padded, masks and latents
    uses_gpu = True
    uses_prompt = True
    uses_text = True
    blend = GaussianBlend()

    def __init__(self, paths: WeightPaths, settings: EraserSettings, prior: PropainterRemover) -> None:
        self._paths, self._settings = paths, settings
        self.prior = prior

    @classmethod
    def from_settings(cls, options: DiffuEraserOptions, prior: PropainterPrior) -> DiffuEraserRemover:
        """The engine as set for a run.

        Raises:
            InputError: a folder of weights is not given.
        """
        flags = {
            "base_model_path": options.base_model_path,
            "vae_path": options.vae_path,
            "diffueraser_path": options.diffueraser_path,
            "pcm_weights_path": options.pcm_weights_path,
            "propainter_model_dir": prior.propainter_model_dir,
        }
        known = {flag: path for flag, path in flags.items() if path is not None}
        if missing := [f"--{flag}" for flag in flags if flag not in known]:
            raise InputError(
                f"--engine diffueraser needs {', '.join(missing)}, or --weights_dir with all of them (`make weights` "
                "fetches the published weights); --engine propagation needs no weights"
            )
        paths = WeightPaths(
            known["base_model_path"],
            known["vae_path"],
            known["diffueraser_path"],
            known["pcm_weights_path"],
            options.pcm_steps,
        )
        settings = EraserSettings(
            nframes=options.nframes,
            steps=options.pcm_steps,
            cfg_gate=options.cfg_gate,
            blend=options.window_blend,
            posterior=options.posterior,
            noise=options.noise,
            pre_inference_frames=options.pre_inference_frames,
            latent_mask=options.latent_mask,
            anchor_scope=options.anchor_scope,
            precision=prior.precision,
            offload=options.offload,
        )
        return cls(paths, settings, PropainterRemover.from_settings(prior))

    def check(self) -> None:
        """See that all weights are there and whole, and that a GPU, if there is one, can be used.

        Raises:
            InputError: everything that is missing, and how to get it.
        """
        check_all(lambda: check_weights(self._paths), self.prior.check)
        check_gpu()

    def suggested_workers(self) -> int:
        """A process a GPU; one on the CPU, where the networks use all cores."""
        return max(1, gpu_count())

    def fingerprint(self) -> dict[str, str]:
        return {
            **{f"prior {name}": value for name, value in self.prior.fingerprint().items()},
            "engine": self.name,
            "code": CODE_VERSION,
            "tokenizers": version("tokenizers"),
            "torch": version("torch"),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
            "device": "cuda" if gpu_count() else "cpu",
            "settings": repr(self._effective_settings),
            **{name: fingerprint_weights(path) for name, path in weight_files(self._paths).items()},
        }

    @property
    def _effective_settings(self) -> EraserSettings:
        """Options without effect do not tell results apart."""
        settings = dataclasses.replace(self._settings, offload=False)
        return settings if gpu_count() else dataclasses.replace(settings, precision="fp32")

    @cached_property
    def _networks(self) -> tuple[DiffuEraser, TextEncoder]:
        import torch

        from lib.diffueraser.checkpoints import load_eraser_models, load_text_encoder
        from lib.diffueraser.pipeline import DiffuEraser

        device = torch_device()
        half = device.type == "cuda" and self._settings.precision == "fp16"
        kept_on = "cpu" if self._settings.offload else device
        models = load_eraser_models(self._paths, kept_on, torch.float16 if half else torch.float32)
        encoder = load_text_encoder(self._paths, device, torch.float16 if half else torch.float32)
        return DiffuEraser(models, self._settings, device), encoder

    def remove(self, request: RemovalRequest) -> RemovalResult:
        """Fill the hole of every frame.

        Raises:
            ValueError: shapes or types of the request do not fit each other.
            InputError: the clip does not fit into the GPU's memory, or weights cannot be used.
        """
        seconds, facts = {}, {}
        prior = request.prior
        if prior is None:
            # The prior gets frames of its own: this engine needs them unchanged.
            made = self.prior.remove(dataclasses.replace(request, anchor=None, may_overwrite=False))
            prior, facts = made.frames, dict(made.facts)
            seconds = {f"prior {stage}": value for stage, value in made.seconds.items()}
        if self._settings.offload:
            self.prior.rest()
        started = time.perf_counter()
        picture = anchor_picture(request, prior)
        anchored = time.perf_counter()
        eraser, encoder = self._networks
        loaded = time.perf_counter()
        done = self._paint(eraser, encoder, request, prior, picture)
        return RemovalResult(
            frames=done.frames,
            prior=prior,
            anchor_frame=picture,
            seconds={**seconds, "anchor": anchored - started, "load": loaded - anchored, **done.seconds},
            facts={**facts, **done.facts},
            notes=_cut_off(encoder, request),
        )

    def _paint(
        self,
        eraser: DiffuEraser,
        encoder: TextEncoder,
        request: RemovalRequest,
        prior: np.ndarray,
        picture: np.ndarray | None,
    ) -> Erased:
        import torch

        from lib.diffueraser.draws import SeededDraws
        from lib.diffueraser.pipeline import AnchorFrame, Clip

        draws = SeededDraws(request.seed, request.video_name)
        clip = Clip(request.frames, request.masks, prior)
        anchor = None if picture is None else AnchorFrame(picture, anchor_index(request))
        try:
            return eraser(
                clip, _encoded(encoder, request), draws, anchor, report=request.report, deliver=request.deliver
            )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise does_not_fit(request, error, "try --offload or lower --nframes") from error


def _encoded(encoder: TextEncoder, request: RemovalRequest) -> TextGuidance:
    from lib.diffueraser.guidance import TextGuidance

    positive, negative = encoder.encode(request.prompt), encoder.encode(request.n_prompt)
    return TextGuidance(positive, negative, request.text_guidance_scale, empty=encoder.encode(""))


def _cut_off(encoder: TextEncoder, request: RemovalRequest) -> list[str]:
    """What the networks do not see of the words, once for each text; the anchor's text model has the same limit."""
    texts = [request.prompt, request.n_prompt]
    if request.anchor and request.anchor.uses_prompt:
        texts += [request.anchor_prompt, request.anchor_n_prompt]
    return [note for text in dict.fromkeys(texts) if (note := encoder.overflow(text))]
