import os
import unicodedata

import pytest

from lib.runtime import fingerprints
from lib.runtime.fingerprints import fingerprint_path, fingerprint_weights, sha256_file


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    (folder / "sub").mkdir(parents=True)
    for name in ("0.png", "1.png", "sub/2.png"):
        (folder / name).write_bytes(name.encode())
    return folder


def change_byte(folder):
    (folder / "sub/2.png").write_bytes(b"sub/2.pnG")


def touch(folder):
    os.utime(folder / "0.png", ns=(1, 1))


def rename(folder):
    (folder / "1.png").rename(folder / "3.png")


def move(folder):
    (folder / "sub/2.png").rename(folder / "2.png")


def swap(folder):
    (folder / "0.png").write_bytes(b"1.png")
    (folder / "1.png").write_bytes(b"0.png")


def add_hidden(folder):
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_bytes(b"x")


@pytest.mark.parametrize(
    ("edit", "changes"),
    [(change_byte, True), (rename, True), (move, True), (swap, True), (touch, False), (add_hidden, False)],
)
def test_folder_fingerprint(frames, edit, changes):
    before = fingerprint_path(frames)
    edit(frames)
    assert (fingerprint_path(frames) != before) == changes


def test_folder_may_move(frames, tmp_path):
    before = fingerprint_path(frames)
    assert fingerprint_path(frames.rename(tmp_path / unicodedata.normalize("NFD", "ä b"))) == before


def test_file_fingerprint_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint_path(tmp_path / "a") == sha256_file(tmp_path / "a") == expected


@pytest.mark.parametrize("function", [fingerprint_path, fingerprint_weights])
def test_missing_path_is_named(function, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        function(tmp_path / "missing")


def test_weights_are_read_once(tmp_path, frames, monkeypatch):
    read = []
    monkeypatch.setattr(fingerprints, "sha256_file", lambda path: read.append(path.name) or sha256_file(path))
    first = fingerprint_weights(frames, tmp_path / "cache")
    assert first == fingerprint_path(frames)
    read.clear()
    assert fingerprint_weights(frames, tmp_path / "cache") == first
    assert read == []
    change_byte(frames)
    os.utime(frames / "sub/2.png", ns=(5, 5))
    assert fingerprint_weights(frames, tmp_path / "cache") != first
    assert read == ["2.png"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"x": 1}', b"\xff"])
def test_corrupt_memo_is_ignored(tmp_path, frames, monkeypatch, content):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memo = tmp_path / "cache" / "auto-refine" / "weights.json"
    memo.parent.mkdir(parents=True)
    memo.write_bytes(content.replace(b'"x"', f'"{frames / "0.png"}"'.encode()))
    assert fingerprint_weights(frames / "0.png") == sha256_file(frames / "0.png")
    assert fingerprint_weights(frames / "0.png") == sha256_file(frames / "0.png")
    assert [path.name for path in memo.parent.iterdir()] == ["weights.json"]


def test_a_cache_folder_that_cannot_be_written_does_not_matter(tmp_path, frames):
    (tmp_path / "file").touch()
    assert fingerprint_weights(frames / "0.png", tmp_path / "file" / "cache") == sha256_file(frames / "0.png")
