"""The doctor as a command: what it prints, its exit codes, whose box it looks at."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from deployments import doctor
from deployments.box.paths import BoxPaths
from deployments.checks.finding import fail, failures, ok, warn
from deployments.checks.job import ENGINES, Job
from lib.errors import InputError
from lib.runtime.children import free_port
from lib.settings import EngineName

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """No installation, no server, an empty folder to stand in."""
    for name in ("PREFECT_API_URL", "AUTO_REFINE_WEIGHTS", "AUTO_REFINE_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    elsewhere = BoxPaths.for_root(tmp_path / "nowhere")
    monkeypatch.setattr(BoxPaths, "for_root", lambda: elsewhere)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def installed(tmp_path) -> Path:
    """The configuration of a user's installation."""
    folder = tmp_path / "config" / "auto-refine"
    folder.mkdir(parents=True)
    (folder / "client.env").write_text("AUTO_REFINE_WEIGHTS=/data/weights\nPREFECT_API_AUTH_STRING=admin:hush\n")
    return folder


def stand_in(monkeypatch, *findings):
    """Let a group say this."""
    monkeypatch.setattr(doctor, "examine", lambda _group, _job: iter(findings))


def job(*flags: str) -> Job:
    return doctor.make_job(doctor.parse(flags))


def test_a_box_without_weights_and_gpu_can_do_the_propagation(capsys, tmp_path):
    code = doctor.main(["--engine", "propagation", "--only", "gpu,memory,disk,video,weights,box,server"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "  skip  GPU: --engine propagation works on the CPU\n" in said
    assert "  ok    H.264 (libx264): writes and reads\n" in said
    assert said.splitlines()[-1].startswith("0 failed")
    assert list(tmp_path.iterdir()) == []  # looking leaves nothing behind


def test_warnings_are_no_failure_and_one_failure_is(monkeypatch, capsys):
    stand_in(monkeypatch, ok("a", "fine"), warn("b", "so so", "mend it"))
    assert doctor.main(["--only", "disk"]) == 0
    assert (
        capsys.readouterr().out
        == "disk\n  ok    a: fine\n  warn  b: so so - mend it\n\n0 failed, 1 to know about, 1 ok\n"
    )
    stand_in(monkeypatch, ok("a", "fine"), fail("c", "broken", "get another"))
    assert doctor.main(["--only", "disk,video"]) == 1
    assert "2 failed, 0 to know about, 2 ok" in capsys.readouterr().out


def test_json_says_the_same(monkeypatch, capsys):
    stand_in(monkeypatch, fail("c", "broken", "get another"))
    assert doctor.main(["--only", "disk", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "findings": [{"group": "disk", "level": "FAIL", "what": "c", "found": "broken", "advice": "get another"}],
    }


def test_the_whole_command_prints_json_alone():
    command = [sys.executable, "-m", "deployments.doctor", "--only=video,box", "--box=none", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"]) == (0, True), done.stderr
    assert [finding["what"] for finding in found["findings"]] == ["H.264 (libx264)", "FFV1, lossless", "box"]


def test_help_and_most_groups_import_neither_torch_nor_prefect():
    script = (
        "import sys, deployments.doctor as doctor\n"
        "try: doctor.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'prefect', 'pydantic', 'numpy', 'cv2', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "doctor.main(['--engine=propagation', '--box=none'])\n"
        "heavy = {'torch', 'prefect', 'transformers', 'diffusers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120, capture_output=True)


def test_a_machine_without_prefect_is_looked_at_as_well():
    script = (
        "import sys, deployments.doctor as doctor\n"
        "sys.modules['prefect'] = None\n"
        "sys.exit(doctor.main('--only gpu,memory,video --engine propainter --width 64 --height 64 --frames 5'.split()))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0 and "ok    memory" in done.stdout, done.stdout + done.stderr


def test_a_missing_package_is_a_finding_and_the_other_groups_are_looked_at(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    assert doctor.main(["--only", "video,box"]) == 1
    said = capsys.readouterr().out
    assert "FAIL  video: cannot be looked at: " in said and "av" in said
    assert "skip  box" in said


def test_a_check_that_breaks_off_is_a_finding(monkeypatch, capsys):
    def broken(_job):
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr("deployments.checks.box.check_box", broken)
    assert doctor.main(["--only", "box"]) == 1
    assert "FAIL  box: the check broke off (ZeroDivisionError: by hand)" in capsys.readouterr().out


def test_a_place_that_cannot_be_looked_at_is_a_finding(monkeypatch, capsys):
    def closed(_job):
        raise PermissionError(13, "Permission denied", "/secret/results")

    monkeypatch.setattr("deployments.checks.disk.check_disk", closed)
    assert doctor.main(["--only", "disk"]) == 1
    assert "/secret/results" in capsys.readouterr().out


def test_bad_usage_has_a_code_of_its_own(capsys):
    for flags in (["--only", "gpu,feet"], ["--frames", "0"], ["--engine", "magic"], ["--nonsense"]):
        with pytest.raises(SystemExit) as stopped:
            doctor.main(flags)
        assert stopped.value.code == 2
    assert "found feet; expected some of gpu, " in capsys.readouterr().err
    assert doctor.main(["--box", "user"]) == 2
    assert "nothing is installed in" in capsys.readouterr().err


def test_dashes_count_as_underscores(tmp_path):
    assert job("--weights-dir", "w", "--output-dir=o-o").weights_dir == tmp_path / "w"
    assert job("--weights-dir", "w", "--output-dir=o-o").output_dir == tmp_path / "o-o"


def test_the_boxes_environment_is_taken_and_ours_wins(installed, monkeypatch, capsys):
    assert job().weights_dir == Path("/data/weights")
    assert job().env["PREFECT_API_AUTH_STRING"] == "admin:hush"
    assert job("--box", "user").box == job().box is not None
    assert job("--box", "none").box is None
    monkeypatch.setenv("AUTO_REFINE_WEIGHTS", "/other")
    assert job().weights_dir == Path("/other")
    doctor.main(["--only", "box", "--json"])
    assert "hush" not in capsys.readouterr().out


def test_another_server_does_not_get_the_boxes_password():
    box = {"PREFECT_API_URL": "http://a/api", "PREFECT_API_AUTH_STRING": "x", "AUTO_REFINE_WEIGHTS": "/w"}
    assert doctor.merged(box, {"A": "1"}) == {**box, "A": "1"}
    assert doctor.merged(box, {"PREFECT_API_URL": "http://a/api"}) == box
    other = {"PREFECT_API_URL": "http://b/api"}
    assert doctor.merged(box, other) == {**other, "AUTO_REFINE_WEIGHTS": "/w"}


def test_a_server_of_prefects_profile_is_looked_at(tmp_path):
    url = f"http://127.0.0.1:{free_port()}/api"
    (tmp_path / "profiles.toml").write_text(f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{url}"\n')
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "deployments.doctor", "--only=server", "--box=none"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**env, "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and f"{url} does not answer" in done.stdout, done.stdout + done.stderr


def test_an_unusable_environment_file_is_told_without_its_values(installed, capsys):
    (installed / "client.env").write_text("admin:hush\n")
    assert doctor.main(["--only", "box"]) == 2
    said = capsys.readouterr().err
    assert "client.env, line 1" in said and "hush" not in said


def test_each_listed_problem_is_a_line_of_its_own():
    error = InputError("two things are wrong:\n  - a.bin: empty; get it again\n  - b.bin: missing")
    assert list(failures("w", error)) == [fail("w", "a.bin: empty", "get it again"), fail("w", "b.bin: missing", "")]
    assert list(failures("w", InputError("one; 1\ntwo"))) == [fail("w", "one", "1"), fail("w", "two", "")]
    assert list(failures("w", InputError("one; do this; or that"))) == [fail("w", "one; do this; or that", "")]


def test_the_engines_are_those_of_the_settings():
    assert sorted(ENGINES) == sorted(get_args(EngineName))
