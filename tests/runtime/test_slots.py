"""Leases of GPUs where /tmp must do: what another user has put there is neither followed nor believed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from another_user import give, need_root, open_folder, run_as, unused_uid

from lib.runtime import slots
from lib.runtime.file_lock import try_lock
from lib.runtime.slots import Slot, lease_dir

IMPORTS = "import sys; from pathlib import Path; from lib.runtime.slots import Slot, lease_dir"
LEASE_TWICE = """
folder = lease_dir()
for gpu in (0, 0):
    lease = Slot(gpu).lease(folder)
    print(folder, lease is not None)
    lease.release()
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in a /tmp of the test's own, which is taken as the cache folder is a file."""
    (tmp_path / "cache").write_text("not a folder")
    (tmp_path / "tmp").mkdir(mode=0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(slots, "_TEMPORARY", tmp_path / "tmp")
    monkeypatch.setattr(slots, "_told", set())
    folder = lease_dir()
    assert folder == tmp_path / "tmp" / f"auto-refine-{os.getuid()}" / "gpus"
    return folder


@pytest.fixture
def victim() -> Iterator[int]:
    """A user whose place in the real /tmp is removed in the end."""
    need_root()
    uid = unused_uid()
    folder = Path(f"/tmp/auto-refine-{uid}")
    yield uid
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_the_place_is_private_and_its_leases_hold(place):
    with Slot(0).lease(place) or pytest.fail("free"):
        assert Slot(0).lease(place) is None
    assert (_mode(place.parent), _mode(place)) == (0o700, 0o700)
    assert (place / "gpu0.0.lock").read_text() == f"{os.getpid()}\n"


def test_a_place_that_an_earlier_version_made_is_made_private(place):
    place.mkdir(parents=True)
    for folder in (place.parent, place):
        folder.chmod(0o755)
    with Slot(0).lease(place) or pytest.fail("free"):
        assert Slot(0).lease(place) is None
    assert (_mode(place.parent), _mode(place)) == (0o700, 0o700)


def _link(place: Path, elsewhere: Path) -> None:
    place.parent.symlink_to(elsewhere)


def _inner_link(place: Path, elsewhere: Path) -> None:
    place.parent.mkdir(mode=0o700)
    place.symlink_to(elsewhere)


def _file(place: Path, _elsewhere: Path) -> None:
    place.parent.write_text("in the way")


def _writable(place: Path, _elsewhere: Path) -> None:
    place.parent.mkdir()
    place.parent.chmod(0o777)


@pytest.mark.parametrize(
    ("lay", "said"),
    [
        (_link, "found a link of user"),
        (_inner_link, "found a link of user"),
        (_file, "found a file of user"),
        (_writable, "found a folder that others can write to"),
    ],
)
def test_what_is_not_private_gives_one_line_and_no_lease(place, tmp_path, capsys, lay, said):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    lay(place, elsewhere)
    for _ in range(3):  # none of them keeps another off
        assert Slot(0).lease(place) is not None
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "no lease can be taken" in lines[0]
    assert said in lines[0]
    assert list(elsewhere.iterdir()) == []


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path, capsys):
    precious = tmp_path / "precious"
    precious.write_text("keep this")
    (tmp_path / "gpu0.0.lock").symlink_to(precious)
    with pytest.raises(OSError, match="is a link, expected a lock file"):
        try_lock(tmp_path / "gpu0.0.lock")
    lease = Slot(0).lease(tmp_path)
    assert lease is not None
    lease.release()
    assert precious.read_text() == "keep this"
    (tmp_path / "gpu1.0.lock").symlink_to(tmp_path / "not there")
    Slot(1).lease(tmp_path)
    assert not (tmp_path / "not there").exists()
    assert "gpu1.0.lock" in capsys.readouterr().err


def test_another_users_folder_and_link_are_left_alone(victim):
    """As another user had it: the victim's own file named by a link in a folder with the victim's number."""
    attacker = unused_uid(1)
    with open_folder() as folder:
        precious = folder / "precious"
        precious.write_text("keep this")
        give(precious, victim, 0o600)
        planted = Path(f"/tmp/auto-refine-{victim}")
        (planted / "gpus").mkdir(parents=True)
        (planted / "gpus" / "gpu0.0.lock").symlink_to(precious)
        for path in (planted, planted / "gpus"):
            give(path, attacker, 0o777)
        done = run_as(victim, IMPORTS, LEASE_TWICE, {"HOME": "/nowhere"})
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [f"{planted}/gpus True"] * 2
        assert precious.read_text() == "keep this"
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert f"{planted}: found a folder of user {attacker}; expected a folder of this user's own" in lines[0]


@pytest.mark.parametrize("env", [{"HOME": "/nowhere"}, {}], ids=["home is not there", "no home"])
def test_a_user_without_a_cache_folder_has_leases_of_their_own(victim, env):
    done = run_as(victim, IMPORTS, LEASE_TWICE, env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"/tmp/auto-refine-{victim}/gpus True"] * 2
    assert _mode(Path(f"/tmp/auto-refine-{victim}")) == 0o700
    assert Path(f"/tmp/auto-refine-{victim}").stat().st_uid == victim
