"""The units that are written are ones that systemd takes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from install_support import Box, root_box

from deployments.box.paths import BoxPaths
from deployments.box.units import unit_path, unit_word
from deployments.install import main
from lib.errors import InputError

ODD = "a 100% odd; (folder) ü"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here (Debian: systemd)"
)


def verify(folder: Path, tmp_path: Path, *, user: bool) -> tuple[int, str]:
    """systemd's verdict on the units of a folder: exit code and complaints."""
    units = sorted(folder.glob("*.service"))
    assert units
    command = ["systemd-analyze", "verify", *(["--user"] if user else []), *map(str, units)]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("scope", ["system", "user"])
@pytest.mark.parametrize("folder", ["plain", ODD])
def test_systemd_takes_the_units(tmp_path, monkeypatch, scope, folder):
    python = tmp_path / folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.setenv("HOME", str(tmp_path / folder))
    assert main(["--scope", scope, "--root", str(tmp_path), "--python", str(python)]) == 0
    units = (BoxPaths.for_root(tmp_path) if scope == "system" else BoxPaths.for_user(tmp_path)).units_dir
    assert verify(units, tmp_path, user=scope == "user") == (0, "")
    python.unlink()
    code, complaints = verify(units, tmp_path, user=scope == "user")
    assert code != 0
    assert f"Command {python} is not executable" in complaints  # so it has read the path as it is


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return root_box(tmp_path)


def test_what_the_units_say(box):
    box.install("--python", "/opt/env/bin/python")
    units = {path.name: path.read_text().splitlines() for path in box.paths.units_dir.iterdir()}
    prefect = "ExecStart=/opt/env/bin/python -m prefect --no-prompt"
    assert "ExecStart=/opt/env/bin/python -m deployments.api_server" in units["auto-refine-server.service"]
    assert "EnvironmentFile=/etc/auto-refine/server.env" in units.pop("auto-refine-server.service")
    kinds = {"gpu": "", "shard": " --limit 1", "caption": ""}
    for kind, limit in kinds.items():
        lines = units.pop(f"auto-refine-{kind}-worker.service")
        start = next(line for line in lines if line.startswith("ExecStart="))
        assert start.startswith(f"{prefect} worker start --pool {kind}-pool --type process --name ")
        assert start.endswith(f"-{kind}{limit}")
        assert "EnvironmentFile=/etc/auto-refine/client.env" in lines
        assert {"Restart=always", "KillMode=control-group", "OOMPolicy=continue", "UMask=0077"} <= set(lines)
    assert not units


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("--limit", "--limit"),
        ("/opt/env/bin/python", "/opt/env/bin/python"),
        ("/a b/python", '"/a b/python"'),
        ("/50%/python", "/50%%/python"),
        ("/a;b", '"/a;b"'),
    ],
)
def test_words_of_a_command_line(word, written):
    assert unit_word(word) == written


@pytest.mark.parametrize("name", ["a$b", "a\\b", "a\nb", "it's", 'a"b'])
def test_paths_that_systemd_cannot_take_are_refused(name):
    with pytest.raises(InputError, match="move it"):
        unit_path(Path("/") / name)
