"""The embedded server's database file: its template, damage to it, and what becomes of that."""

import contextlib
import importlib.metadata
import sqlite3
from pathlib import Path

import pytest

from lib.runtime.database import ServerDatabase, found_damage


def write_database(path: Path, rows: int = 2000) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table t (x text)")
        database.executemany("insert into t values (?)", [("x" * 100,)] * rows)
        database.commit()


def damage_header(path: Path) -> None:
    path.write_bytes(b"not sqlite" + path.read_bytes()[10:])


def damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20_000:40_000] = b"\xff" * 20_000
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50_000])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [damage_header, damage_middle, cut, replace_by_folder])
def test_a_damaged_file_is_set_aside(tmp_path, harm):
    path = tmp_path / "prefect.db"
    write_database(path)
    harm(path)
    database = ServerDatabase(path, tmp_path / "cache")
    told = database.open()
    assert database.is_new
    assert not path.exists()
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("prefect.db.damaged-2")
    assert str(path) in told and aside.name in told and "\n" not in told


def test_what_sqlite_keeps_beside_the_file_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda _format: "then")
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"prefect.db{ending}").write_text(ending)
    database = ServerDatabase(tmp_path / "prefect.db", tmp_path / "cache")
    database.set_aside("as the server says")
    assert database.is_new
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == {f"prefect.db.damaged-then{ending}": ending for ending in ("", "-wal", "-shm")}


def test_a_good_file_stays_and_becomes_private(tmp_path):
    path = tmp_path / "prefect.db"
    write_database(path)
    path.chmod(0o644)
    database = ServerDatabase(path, tmp_path / "cache")
    assert database.open() == ""
    assert not database.is_new
    assert path.stat().st_mode & 0o777 == 0o600
    assert sqlite3.connect(path).execute("select count(*) from t").fetchone() == (2000,)


def test_a_file_that_somebody_reads_is_not_damaged(tmp_path):
    path = tmp_path / "prefect.db"
    write_database(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        assert found_damage(path) == ""


def test_two_damaged_files_within_a_second_are_both_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda _format: "then")
    for _ in range(2):
        (tmp_path / "prefect.db").write_text("no database" * 100)
        assert ServerDatabase(tmp_path / "prefect.db", tmp_path / "cache").open()
    assert {path.name for path in tmp_path.iterdir()} == {"prefect.db.damaged-then", "prefect.db.damaged-then-again"}


def test_an_empty_file_is_a_new_one_and_what_is_left_of_another_goes(tmp_path):
    (tmp_path / "prefect.db").touch()
    (tmp_path / "prefect.db-wal").write_bytes(b"of a file that is gone")
    database = ServerDatabase(tmp_path / "prefect.db", tmp_path / "cache")
    assert database.open() == ""
    assert database.is_new
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_from_the_template_is_private_and_a_damaged_template_is_dropped(tmp_path):
    template = tmp_path / "cache" / f"prefect-{importlib.metadata.version('prefect')}.db"
    template.parent.mkdir()
    write_database(template)
    database = ServerDatabase(tmp_path / "one.db", tmp_path / "cache")
    assert database.start_from_template()
    assert database.path.stat().st_mode & 0o777 == 0o600
    damage_header(template)
    assert not ServerDatabase(tmp_path / "two.db", tmp_path / "cache").start_from_template()
    assert not template.exists()
