import os
import subprocess
import sys
from pathlib import Path

import pytest
from embedded_support import SCRIPT
from tests_support import Dataset

from flows.command_line import parse
from lib.errors import InputError
from lib.settings import AutoRefineSettings, fields_by_name

BATCH = ["--dataset", "davis", "--video_root", "v", "--mask_root", "m", "--output_dir", "o"]


def test_the_seeds_spellings_and_dashes_mean_the_same():
    words = [word.replace("_", "-") if word.startswith("--") else word for word in BATCH]
    assert parse(BATCH)[0] == parse(words)[0]


def test_every_setting_is_a_flag_and_no_two_groups_share_a_name(capsys):
    names = [name for group in AutoRefineSettings.model_fields.values() for name in group.annotation.model_fields]
    assert len(names) == len(set(names)) == len(fields_by_name(AutoRefineSettings))
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = capsys.readouterr().out
    assert [name for name in names if f"--{name}" not in shown] == []


def test_values_arrive_typed_and_paths_absolute():
    settings, _ = parse([*BATCH, "--phase1_downscale", "--phase1_W", "320", "--object_ids", "1,3", "--height", "-1"])
    assert settings.phase1_processing.width == 320
    assert settings.phase1_processing.height == 240
    assert settings.processing.width == -1
    assert settings.processing.object_ids == (1, 3)
    assert settings.output_dir == Path.cwd() / "o"
    assert settings.prompt_cache_dir == Path.cwd() / "o" / "prompt_cache"


def test_a_config_file_has_the_same_names_and_flags_win(tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text("dataset: davis\nvideo-root: v\nmask_root: m\noutput_dir: o\nseed: 7\nsave_comparison: true\n")
    settings, options = parse(["--config", str(config), "--seed", "8"])
    assert (settings.processing.seed, settings.products.save_comparison, settings.input_output.dataset) == (
        8,
        True,
        "davis",
    )
    assert options.config == config
    turned_off, _ = parse(["--config", str(config), "--no-save_comparison"])
    assert not turned_off.products.save_comparison


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("output_dr: o\n", "unknown names output_dr"),
        ("- a\n", "found a list"),
        ("seed: many\n", "--seed"),
        ("seed: [\n", "not valid YAML"),
        ("seed: 2026-99-99\n", "not valid YAML"),
        ("seed: &a [1]\nvideo_names: [*a, *a]\n", "aliases are not taken"),
        ("video_names: " + "[" * 5000, "more than 20 lists"),
        ("# \xe4\n" * 40_000, "more than 128 KiB"),
        ("0x" + "f" * 900 + ": a\n", "a number of more than 300 digits"),
    ],
)
def test_a_bad_config_file_is_one_clear_error(tmp_path, text, said):
    config = tmp_path / "job.yaml"
    config.write_text(text)
    with pytest.raises(InputError, match=said):
        parse(["--config", str(config)])


def test_an_error_over_a_config_file_quotes_little_of_it(tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text(f"seed: [{'many, ' * 5000}]\n")
    with pytest.raises(InputError, match="--seed") as refused:
        parse(["--config", str(config)])
    assert len(str(refused.value)) < 300
    config.write_text(f"video_names: [{'[], ' * 4000}]\n")
    with pytest.raises(InputError, match="and 3990 more like these") as refused:
        parse(["--config", str(config)])
    assert len(str(refused.value).splitlines()) == 11
    config.write_text("".join(f"unknown_{number}: 1\n" for number in range(2000)) + '"a\\eb": 1\n')
    with pytest.raises(InputError, match=r"unknown names a.b, unknown_0") as refused:
        parse(["--config", str(config)])
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value).split("; known are")[0].removeprefix(str(config))) < 160


def test_a_config_file_may_come_from_a_pipe_and_may_be_empty(tmp_path):
    config = tmp_path / "job.yaml"
    config.write_bytes(b"\xef\xbb\xbf# nothing yet\n")
    settings, _ = parse([*BATCH, "--config", str(config)])
    assert settings.input_output.dataset == "davis"
    read_end, write_end = os.pipe()
    os.write(write_end, b"seed: 7\n")
    os.close(write_end)
    assert parse([*BATCH, "--config", f"/dev/fd/{read_end}"])[0].processing.seed == 7
    os.close(read_end)


@pytest.mark.parametrize(
    "words",
    [
        ["--output_dir", "o"],
        ["--output_dir", "o", "--input_video", "v"],
        [*BATCH, "--input_video", "v", "--input_mask", "m"],
        BATCH[:-2],
        [*BATCH, "--height", "-3"],
        [*BATCH, "--no_such_flag"],
    ],
    ids=["no input", "no mask", "both modes", "no output", "bad value", "unknown"],
)
def test_bad_usage_is_refused(words, capsys):
    with pytest.raises((InputError, SystemExit)) as refused:
        parse(words)
    assert isinstance(refused.value, InputError) or refused.value.code == 2


def test_a_plan_starts_nothing_and_writes_nothing(tmp_path):
    dataset = Dataset(tmp_path / "data")
    dataset.add("bear")
    home = tmp_path / "home"
    home.mkdir()
    words = [*dataset.flags(tmp_path / "out"), "--plan"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([sys.executable, str(SCRIPT), *words], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        *("bear", "coarse", "to", "do", "not", "done", "yet"),
        *("bear", "caption", "to", "do", "not", "done", "yet"),
        *("bear", "refine", "to", "do", "waits", "for", "its", "caption"),
        *("bear", "evaluate", "to", "do", "waits", "for", "the", "result"),
        *("0", "cached,", "4", "to", "do,", "0", "blocked"),
    ]
    assert "prefect" not in {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert list(home.iterdir()) == []
    assert not (tmp_path / "out").exists()
