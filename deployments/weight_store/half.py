"""A second folder of weights with DiffuEraser's networks in half precision; everything else in it is links."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lib.diffueraser.weight_files import WeightPaths, check_weights, net_files
from lib.errors import InputError
from lib.settings.engines import METRICS_FOLDER, WEIGHT_FOLDERS

_HALVED = ("base_model_path", "vae_path", "diffueraser_path")


def write_half_folder(folder: Path, target: Path, pcm_steps: int, say: Callable[[str], None] = print) -> None:
    """Make `target` a folder that --weights_dir takes like `folder`, its networks of half the size.

    Raises:
        InputError: DiffuEraser's weights are not complete, or something else lies where a link should.
    """
    from lib.diffueraser.half_copy import write_half_copy  # torch takes seconds

    if target.resolve() == folder.resolve():
        raise InputError(f"{target}: is the folder of the weights itself; choose another --fp16_dir")
    base, vae, eraser = (folder / WEIGHT_FOLDERS[setting] for setting in _HALVED)
    paths = WeightPaths(base, vae, eraser, folder / WEIGHT_FOLDERS["pcm_weights_path"], pcm_steps)
    check_weights(paths)
    _require_room(paths, target)
    write_half_copy(paths, target)
    whole = [name for setting, name in WEIGHT_FOLDERS.items() if setting not in _HALVED]
    for name in (*whole, METRICS_FOLDER):
        if (folder / name).is_dir():
            _link(target / name, (folder / name).absolute())
    say(f"half precision: {target} (use it as --weights_dir {target})")


def _link(link: Path, folder: Path) -> None:
    if link.is_symlink():
        link.unlink()
    if link.exists():
        raise InputError(f"{link}: is there already and no link; move it away, it should lead to {folder}")
    link.symlink_to(folder)


def _require_room(paths: WeightPaths, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    needed = sum(net.weights_path().stat().st_size for net in net_files(paths).values()) // 2
    if needed > (free := shutil.disk_usage(target).free):
        raise InputError(
            f"{target}: about {needed / 2**30:.2f} GiB in half precision, but {free / 2**30:.2f} GiB are free; make "
            "room or choose another --fp16_dir"
        )
