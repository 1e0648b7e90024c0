import os
from pathlib import Path

import pytest

from lib.errors import InputError
from lib.runtime.file_states import FileState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "v").mkdir()
    for name in ("a", "b"):
        (tmp_path / "v" / name).write_bytes(name.encode() * 10)
    return tmp_path / "v"


def replace(path: Path, content: bytes) -> None:
    """Another file of that name, with the times and size of the one before."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_files_that_stay_are_not_read_again(folder, monkeypatch):
    states = [FileState.of(folder), FileState.of(folder / "a")]
    monkeypatch.setattr("lib.runtime.file_states.fingerprint_path", lambda _path: pytest.fail("read again"))
    for state in states:
        state.check()


def test_touched_files_are_read_again_and_found_to_be_the_same(folder):
    state = FileState.of(folder)
    os.utime(folder / "a", ns=(1, 1))
    replace(folder / "b", b"b" * 10)
    state.check()


@pytest.mark.parametrize("whole", [True, False])
def test_other_content_of_the_same_size_and_time_is_found(folder, whole):
    path = folder if whole else folder / "a"
    state = FileState.of(path)
    replace(folder / "a", b"A" * 10)
    with pytest.raises(InputError, match=f"{path.name}: was changed while it was worked on"):
        state.check()


def test_what_is_written_in_place_added_or_gone_is_found(folder):
    for change in (
        lambda: (folder / "a").write_bytes(b"c" * 10),
        lambda: (folder / "c").write_bytes(b"c"),
        lambda: (folder / "b").unlink(),
    ):
        state = FileState.of(folder)
        change()
        with pytest.raises(InputError, match="was changed"):
            state.check()
    state = FileState.of(folder / "a")
    (folder / "a").unlink()
    with pytest.raises(InputError, match="is gone since it was read"):
        state.check()


def test_a_file_that_is_still_written_is_refused(folder, monkeypatch):
    from lib.runtime import file_states

    def reading(path: Path) -> str:
        (path / "a").write_bytes(b"more")
        return "x"

    monkeypatch.setattr(file_states, "fingerprint_path", reading)
    with pytest.raises(InputError, match="changed while it was read"):
        FileState.of(folder)
