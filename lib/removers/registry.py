"""The engines and anchors by name. A new one is a module of its own and one line here."""

from functools import lru_cache

from lib.anchor.base import AnchorInpainter
from lib.anchor.patch import PatchAnchorInpainter
from lib.removers.base import Remover
from lib.removers.propagation import PropagationRemover
from lib.settings import Anchor, Engine


def get_remover(engine: Engine) -> Remover:
    """The engine as set; the same object for the whole process, so that models load once."""
    return _make_remover(engine.engine)


@lru_cache(maxsize=1)
def _make_remover(name: str) -> Remover:
    return {"propagation": PropagationRemover}[name]()


def get_anchor(anchor: Anchor, seed: int) -> AnchorInpainter:
    """The single-picture inpainter of phase 3."""
    return {"patch": PatchAnchorInpainter}[anchor.anchor_method](seed=seed)
