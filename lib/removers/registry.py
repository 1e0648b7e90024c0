"""The engines and anchors by name. A new one is a module of its own and one line here."""

from collections.abc import Callable
from functools import lru_cache

from lib.anchor.base import AnchorInpainter
from lib.anchor.patch import PatchAnchorInpainter
from lib.anchor.propainter import PropainterAnchorInpainter
from lib.removers.base import Remover
from lib.removers.propagation import PropagationRemover
from lib.removers.propainter import PropainterRemover
from lib.settings import Anchor, AnchorName, Engine, EngineName, PropainterPrior

_ENGINES: dict[EngineName, Callable[[PropainterPrior], Remover]] = {
    "propagation": lambda _prior: PropagationRemover(),
    "propainter": PropainterRemover.from_settings,
}
_ANCHORS: dict[AnchorName, Callable[[int], AnchorInpainter]] = {
    "patch": PatchAnchorInpainter,
    "propainter": lambda _seed: PropainterAnchorInpainter(),
}


def get_remover(engine: Engine, prior: PropainterPrior | None = None) -> Remover:
    """The engine as set; the same object for the whole process, so that models load once.

    Args:
        prior: where the engine has a prior, its settings.

    Raises:
        InputError: a setting that the engine cannot do without is missing.
    """
    # The checker does not see that frozen models have a hash.
    return _make_remover(engine.engine, prior or PropainterPrior())  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _make_remover(name: EngineName, prior: PropainterPrior) -> Remover:
    return _ENGINES[name](prior)


def get_anchor(anchor: Anchor, seed: int) -> AnchorInpainter:
    """The single-picture inpainter of phase 3.

    Raises:
        ValueError: the method is left open; `AutoRefineSettings.engine_anchor` has it.
    """
    if anchor.anchor_method is None:
        raise ValueError("anchor_method is not set; take the settings' engine_anchor")
    return _ANCHORS[anchor.anchor_method](seed)
