"""The engines and anchors by name. A new one is a module of its own and one line here.

What needs torch imports it where it works, so that nothing here does.
"""

from collections.abc import Callable
from functools import lru_cache

from lib.anchor.base import AnchorInpainter
from lib.anchor.patch import PatchAnchorInpainter
from lib.anchor.propainter import PropainterAnchorInpainter
from lib.anchor.sd_inpaint import SDInpaintAnchorInpainter
from lib.removers.base import Remover
from lib.removers.diffueraser import DiffuEraserRemover
from lib.removers.gpu import torch_device
from lib.removers.propagation import PropagationRemover
from lib.removers.propainter import PropainterRemover
from lib.settings import Anchor, AnchorName, DiffuEraserOptions, Engine, EngineName, PropainterPrior

_ENGINES: dict[EngineName, Callable[[PropainterPrior, DiffuEraserOptions], Remover]] = {
    "diffueraser": lambda prior, options: DiffuEraserRemover.from_settings(options, prior),
    "propagation": lambda _prior, _options: PropagationRemover(),
    "propainter": lambda prior, _options: PropainterRemover.from_settings(prior),
}


def _sd_inpaint(anchor: Anchor, seed: int, offload: bool) -> AnchorInpainter:
    return SDInpaintAnchorInpainter(
        anchor.anchor_model_path, device=torch_device, steps=anchor.anchor_steps, seed=seed, offload=offload
    )


_ANCHORS: dict[AnchorName, Callable[[Anchor, int, bool], AnchorInpainter]] = {
    "sd-inpaint": _sd_inpaint,
    "propainter": lambda _anchor, _seed, _offload: PropainterAnchorInpainter(),
    "patch": lambda _anchor, seed, _offload: PatchAnchorInpainter(seed),
}


def make_remover(
    engine: Engine, prior: PropainterPrior | None = None, options: DiffuEraserOptions | None = None
) -> Remover:
    """The engine as set.

    Args:
        prior: where the engine has a prior, its settings.
        options: where the engine is DiffuEraser, its settings.

    Raises:
        InputError: a setting that the engine cannot do without is missing.
    """
    return _ENGINES[engine.engine](prior or PropainterPrior(), options or DiffuEraserOptions())


def get_remover(
    engine: Engine, prior: PropainterPrior | None = None, options: DiffuEraserOptions | None = None
) -> Remover:
    """As `make_remover`; the same object while a process asks for the same one, so that models load once."""
    return _kept_remover(engine, prior, options)  # type: ignore[arg-type] (frozen models have a hash)


_kept_remover = lru_cache(maxsize=1)(make_remover)


def get_anchor(anchor: Anchor, seed: int, *, offload: bool = False) -> AnchorInpainter:
    """The single-picture inpainter of a guided removal.

    Args:
        offload: its model is on the GPU only while it paints.

    Raises:
        ValueError: the method is left open; the settings' `engine_anchor` has it.
    """
    if anchor.anchor_method is None:
        raise ValueError("anchor_method is not set; take the settings' engine_anchor")
    return _ANCHORS[anchor.anchor_method](anchor, seed, offload)
