"""Takes away what the record of the installation lists, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from deployments.box.commands import Account
from deployments.box.manifest import Manifest
from deployments.box.paths import BoxPaths
from deployments.box.systemd import Systemd


def uninstall(paths: BoxPaths, account: Account, systemd: Systemd | None) -> None:
    """Stop and remove the box; calling it again changes nothing.

    Args:
        systemd: None where it cannot be asked.

    Raises:
        InputError: the record cannot be read.
        StepError: a unit cannot be stopped; nothing is removed then.
    """
    if not paths.manifest.exists():
        print(f"nothing is installed here (no {paths.manifest})")
        return
    record = Manifest(paths, account).record
    if systemd is not None:
        systemd.take_down(reversed(record.units))
    for name in record.units:
        _remove_file(paths.units_dir / name)
    if systemd is not None:
        systemd.reload()
    for place in record.files:
        _remove_file(paths.outside(Path(place)))
    for place in record.trees:
        _remove_tree(paths.outside(Path(place)))
    _remove_file(paths.manifest)
    for place in reversed(record.folders):
        _remove_if_empty(paths.outside(Path(place)))
    print("uninstalled")


def _remove_file(path: Path) -> None:
    if path.exists():
        path.unlink()
        print(f"removed {path}")


def _remove_tree(path: Path) -> None:
    if path.is_symlink():
        print(f"left {path.resolve()}: it only was linked to")
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    else:
        return
    print(f"removed {path}")


def _remove_if_empty(path: Path) -> None:
    try:
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError:
        print(f"left {path}: it is not empty")
    else:
        print(f"removed {path}")
