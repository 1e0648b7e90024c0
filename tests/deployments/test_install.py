"""What an installation writes below a root folder, and that taking it away leaves the folder as it was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from install_support import Box, root_box

from deployments.box.env_files import quoted
from deployments.box.paths import BoxPaths, installed_paths, read_env_file
from deployments.install import CHECKOUT, main
from lib.errors import InputError

SECRET = "s3cret-of-postgres"  # noqa: S105
DATABASE = f"postgresql://refine:{SECRET}@db/refine"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return root_box(tmp_path / "root")


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_install_twice_and_uninstall_twice(box, capsys):
    (box.folder / "etc").mkdir()
    before = box.tree()
    assert box.install() == 0
    first = box.tree()
    written = {path: path.stat().st_mtime_ns for path in box.folder.rglob("*")}
    capsys.readouterr()
    assert box.install() == 0
    assert box.tree() == first
    assert {path: path.stat().st_mtime_ns for path in box.folder.rglob("*")} == written
    said = capsys.readouterr().out
    assert "unchanged: " in said
    assert not any(line.startswith(("made", "written", "removed")) for line in said.splitlines())
    for _ in range(2):
        assert box.install("--uninstall") == 0
        assert box.tree() == before
    assert "nothing is installed here" in capsys.readouterr().out


def test_modes(box):
    box.install()
    paths = box.paths
    assert [box.mode(path) for path in (paths.client_env, paths.server_env)] == [0o600, 0o600]
    folders = [paths.state_dir, *(box.folder / "srv/auto-refine" / name for name in ("inbox", "outbox", "results"))]
    assert [box.mode(folder) for folder in folders] == [0o700] * 4
    assert {box.mode(unit) for unit in paths.units_dir.iterdir()} == {0o644}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_depend_on_the_umask(box, umask):
    before = os.umask(umask)
    try:
        box.install()
    finally:
        os.umask(before)
    assert box.mode(box.paths.server_env) == 0o600
    assert [box.mode(folder) for folder in (box.paths.config_dir, box.folder / "srv/auto-refine")] == [0o755] * 2
    assert box.mode(box.paths.state_dir) == 0o700


def test_a_mode_that_was_widened_is_mended(box):
    box.install()
    box.paths.client_env.chmod(0o644)
    box.install()
    assert box.mode(box.paths.client_env) == 0o600


def test_password_is_made_once_and_stays_in_the_two_files(box, capsys):
    box.install()
    auth = box.client()["PREFECT_API_AUTH_STRING"]
    user, _, password = auth.partition(":")
    assert (user, len(password) >= 32) == ("admin", True)
    assert box.server()["PREFECT_SERVER_API_AUTH_STRING"] == auth
    box.install("--port", "4300")
    assert box.client()["PREFECT_API_AUTH_STRING"] == auth
    box.install("--new_password")
    new = box.client()["PREFECT_API_AUTH_STRING"]
    assert new != auth
    assert box.server()["PREFECT_SERVER_API_AUTH_STRING"] == new
    holders = [path for path in box.folder.rglob("*") if path.is_file() and "admin:" in path.read_text()]
    assert sorted(holders) == [box.paths.client_env, box.paths.server_env]
    said = capsys.readouterr()
    assert str(Path("/etc/auto-refine/client.env")) in said.out
    assert not any(secret.partition(":")[2] in said.out + said.err for secret in (auth, new))


def test_paths_are_those_of_the_box_not_of_the_root_folder(box):
    box.install()
    texts = [path.read_text() for path in box.folder.rglob("*") if path.is_file()]
    assert not any(str(box.folder) in text for text in texts)
    assert box.client()["AUTO_REFINE_INBOX"] == "/srv/auto-refine/inbox"
    assert box.server()["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == (
        "sqlite+aiosqlite:////var/lib/auto-refine/prefect/prefect.db"
    )


def test_settings_are_kept_until_others_are_given(box):
    box.install("--port", "4300", "--cron=30 1 * * 1-5", "--timezone", "Europe/Berlin", "--weights-dir", "/big/W")
    box.install("--inbox", "/data/in")
    client = box.client()
    found = [client[f"AUTO_REFINE_{name}"] for name in ("CRON", "TIMEZONE", "WEIGHTS", "INBOX")]
    assert found == ["30 1 * * 1-5", "Europe/Berlin", "/big/W", "/data/in"]
    assert client["PREFECT_API_URL"] == "http://127.0.0.1:4300/api"
    assert (box.server()["PREFECT_SERVER_API_HOST"], box.server()["PREFECT_SERVER_API_PORT"]) == ("127.0.0.1", "4300")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:4200/api"),  # noqa: S104
        ("10.0.0.7", "http://10.0.0.7:4200/api"),
        ("::", "http://[::1]:4200/api"),
    ],
)
def test_a_server_for_other_boxes_keeps_its_password(box, host, url):
    box.install("--host", host)
    assert box.server()["PREFECT_SERVER_API_HOST"] == host
    assert box.client()["PREFECT_API_URL"] == url
    assert box.server()["PREFECT_SERVER_API_AUTH_STRING"].startswith("admin:")


def test_the_database_is_one_setting_of_the_server_alone(box, tmp_path, capsys):
    assert box.install("--database", str(private(tmp_path / "url", f"{DATABASE}\n"))) == 0
    assert box.install() == 0
    url = box.server()["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert url == DATABASE.replace("postgresql", "postgresql+asyncpg")
    holders = [path for path in box.folder.rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert holders == [box.paths.server_env]
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    box.install("--database", "sqlite")
    assert box.server()["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("sqlite+aiosqlite:///")


def test_a_database_without_a_password_may_be_an_argument(box):
    assert box.install("--database", "postgresql://refine@/refine?host=/run/postgresql") == 0
    url = box.server()["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert url == "postgresql+asyncpg://refine@/refine?host=/run/postgresql"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--database", DATABASE], "mode 0600"),
        (["--database", "mysql://u@h/d"], "'mysql'"),
        (["--database", "nowhere"], "no such file"),
        (["--database", "open-file"], "others can read"),
        (["--server", "http://10.0.0.1:4200"], "--auth_file"),
        (["--server", "10.0.0.1"], "http://10.0.0.1:4200"),
        (["--server", f"http://admin:{SECRET}@10.0.0.1:4200"], "without a password"),
        (["--server", "http://10.0.0.1:4200", "--auth_file", "wordless"], "user:password"),
        (["--server", "http://10.0.0.1:4200", "--auth_file", "two-lines"], "one line"),
        (["--cron", "every night"], "five fields"),
        (["--port", "70000"], "70000"),
        (["--results", "/var/lib/auto-refine/results"], "--uninstall"),
        (["--inbox", "/data", "--outbox", "/data/out"], "inbox"),
        (["--user", "nobody-of-that-name"], "no such account"),
        (["--root", "/no/such/root"], "no such folder"),
        (["--inbox", "/a\nb"], "AUTO_REFINE_INBOX"),
        (["--python", "/it's/python"], "move it"),
    ],
)
def test_bad_usage(box, tmp_path, monkeypatch, capsys, words, named):
    monkeypatch.chdir(tmp_path)
    Path("open-file").write_text(DATABASE)
    Path("open-file").chmod(0o644)
    private(Path("wordless"), "only-a-password")
    private(Path("two-lines"), "admin:a\nadmin:b\n")
    assert main(["--scope", "system", "--root", str(box.folder), *words]) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert SECRET not in said.out + said.err
    assert not box.tree()


def test_lines_of_a_persons_own_are_kept(box):
    box.install()
    path = box.paths.client_env
    path.write_text(path.read_text() + "# cards 2 and 3 are another's\nCUDA_VISIBLE_DEVICES=0,1\n")
    box.install("--port", "4300")
    assert "# cards 2 and 3 are another's\nCUDA_VISIBLE_DEVICES=0,1\n" in path.read_text()
    assert box.client()["PREFECT_API_URL"] == "http://127.0.0.1:4300/api"
    assert path.read_text().count("PREFECT_API_URL") == 1


def test_uninstall_leaves_what_is_not_its_own(box):
    box.install()
    kept = [box.paths.config_dir / "mine.txt", box.folder / "srv/auto-refine/inbox/bear/video.mp4"]
    kept += [box.paths.units_dir / "other.service", box.folder / "srv/auto-refine/results/x/summary.json"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (box.paths.state_dir / "prefect" / "prefect.db").write_text("history")
    box.install("--uninstall")
    assert sorted(path for path in box.folder.rglob("*") if path.is_file()) == sorted(kept)
    assert not (box.folder / "srv/auto-refine/outbox").exists()
    assert not box.paths.state_dir.exists()


def test_a_lost_record_is_made_again(box):
    box.folder.joinpath("srv").mkdir()
    box.install()
    auth = box.client()["PREFECT_API_AUTH_STRING"]
    box.paths.manifest.unlink()
    box.install()
    assert box.client()["PREFECT_API_AUTH_STRING"] == auth
    box.install("--uninstall")
    assert not [path for path in box.folder.rglob("*") if path.is_file()]


def test_a_damaged_record_is_no_licence_to_remove(box, capsys):
    box.install()
    box.paths.manifest.write_text('{"files": "/"')
    before = box.tree()
    assert box.install("--uninstall") == 2
    assert str(box.paths.manifest) in capsys.readouterr().err
    assert box.tree() == before


def test_a_box_joins_anothers_server(box, tmp_path, capsys):
    auth = private(tmp_path / "auth", "PREFECT_API_AUTH_STRING=admin:of-the-other\n")
    words = ("--server", "http://10.0.0.1:4200", "--auth_file", str(auth))
    box.install()
    assert box.install(*words) == 0
    client = box.client()
    assert client["PREFECT_API_URL"] == "http://10.0.0.1:4200/api"
    assert client["PREFECT_API_AUTH_STRING"] == "admin:of-the-other"
    assert client["AUTO_REFINE_CAPTION_POOL"].startswith("caption-pool-")
    assert not box.paths.server_env.exists()
    units = {unit.name: unit.read_text() for unit in box.paths.units_dir.iterdir()}
    assert sorted(units) == [f"auto-refine-{kind}-worker.service" for kind in ("caption", "gpu", "shard")]
    assert not any("auto-refine-server" in text for text in units.values())
    assert f"--pool {client['AUTO_REFINE_CAPTION_POOL']} " in units["auto-refine-caption-worker.service"]
    assert "of-the-other" not in capsys.readouterr().out
    joined = box.tree()
    assert box.install() == 0  # and stays joined
    assert box.tree() == joined


def test_it_starts_with_a_bare_interpreter(tmp_path):
    script = CHECKOUT / "deployments" / "install.py"
    command = [sys.executable, "-I", "-S", str(script), "--root", str(tmp_path), "--scope", "system"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    units = json.loads((tmp_path / "etc/auto-refine/installed.json").read_text())["units"]
    assert len(units) == 4


@pytest.mark.parametrize(
    "value", ["plain", "", "0 2 * * *", "it's", 'a "b" $HOME `c` \\ d', 'it\'s "b" $HOME `c` \\d', "~/x", "#x", "ü€"]
)
def test_a_shell_reads_what_we_read(tmp_path, value):
    path = tmp_path / "env"
    path.write_text(f"# x\n\n; y\nVALUE={quoted('VALUE', value)}\n", encoding="utf-8")
    assert read_env_file(path) == {"VALUE": value}
    path.write_text(f"VALUE={quoted('VALUE', value)}\n", encoding="utf-8")
    shell = ["sh", "-c", f"set -a; . {path}; exec {sys.executable} -c 'import os; print(os.environ[\"VALUE\"])'"]
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == f"{value}\n"


@pytest.mark.parametrize("line", ["no equals sign", "A='x", "A='x'y'", 'A="x', "export A=x"])
def test_a_line_that_cannot_be_read_is_named_by_its_number(tmp_path, line):
    (tmp_path / "env").write_text(f"B=secret\n{line}\n")
    with pytest.raises(InputError, match="line 2") as raised:
        read_env_file(tmp_path / "env")
    assert "secret" not in str(raised.value)


def test_the_users_installation_is_found_first(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "auto-refine").mkdir()
    (tmp_path / "auto-refine" / "client.env").write_text("")
    assert installed_paths() == BoxPaths.for_user()
