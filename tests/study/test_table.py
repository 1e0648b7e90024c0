"""The table of a study: files that say the same, differences from the baseline, plots."""

import csv
import json

import pytest

from lib.metrics.definitions import METRICS
from lib.study.plots import write_plots
from lib.study.statistics import PairedDifference
from lib.study.table import StudyRow, StudyTable, in_words

VIDEOS = {"bear": 20.0, "car": 30.0, "dog": 25.0, "fox": 24.0, "goat": 26.0, "hen": 25.0}
GAIN = {"plain": 0.0, "anchored": 2.0, "worse": -1.0}


@pytest.fixture
def table() -> StudyTable:
    rows = [
        StudyRow(
            variant=variant,
            video=video,
            status="done",
            seconds=1.5,
            same_as="Plain" if variant == "worse" and video == "dog" else "",
            values={"psnr_inside": psnr + gain + (0.1 if video == "car" else 0), "hole_share": 0.1},
        )
        for variant, gain in GAIN.items()
        for video, psnr in VIDEOS.items()
    ]
    rows.append(StudyRow(variant="plain", video="eel", status="failed", reason="no, object"))
    return StudyTable(
        title="test",
        variants={"plain": "Plain", "anchored": "Anchored", "worse": "Worse"},
        baseline="plain",
        rows=rows,
        seed=42,
        of_set={key: {"psnr_inside": 25 + gain, "vfid": 0.3} for key, gain in GAIN.items()},
    )


def test_csv_and_json_hold_the_same_rows(table, tmp_path):
    with table.write_csv(tmp_path / "study" / "table.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    content = json.loads(table.write_json(tmp_path / "table.json").read_text())
    assert len(lines) == len(content["rows"]) == 19
    for line, row in zip(lines, content["rows"], strict=True):
        assert (line["variant"], line["video"], line["same_as"]) == (row["variant"], row["video"], row["same_as"])
        assert line["psnr_inside"] == str(row["values"].get("psnr_inside", ""))
    assert lines[-1]["reason"] == "no, object"
    assert "vfid" not in lines[0]  # no video has one
    assert content["means"]["plain"]["vfid"] == 0.3
    assert content["definitions"]["psnr_inside"]["unit"] == "dB"


def test_differences_are_against_the_baseline(table):
    found = table.differences()
    assert "plain" not in found
    assert found["anchored"]["psnr_inside"] == PairedDifference(2.0, 2.0, 2.0, 6)
    content = table.content()["differences"]
    assert content["anchored"]["psnr_inside"]["verdict"] == "better"
    assert content["worse"]["psnr_inside"]["verdict"] == "worse"


def test_words_for_the_page_and_the_terminal(table):
    assert in_words(PairedDifference(1.2, 0.8, 1.6, 9), METRICS["psnr"]) == "+1.2 (0.8 … 1.6), better"
    assert in_words(PairedDifference(-0.5, None, None, 1), METRICS["psnr"]) == "-0.5 (one video: no interval)"
    lines = table.text().splitlines()
    assert lines[0].split() == ["Plain", "Anchored", "Worse"]
    assert lines[1].split()[-3:] == ["25.00", "27.00", "24.00"]
    assert not any("Hole" in line for line in lines)  # neither better nor worse


def test_plots_are_pictures_and_the_same_each_time(table, tmp_path):
    first, second = (write_plots(table, tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in first] == ["psnr_inside.svg"]
    for path in first:
        assert path.read_text().rstrip().endswith("</svg>")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_sweep_is_drawn_over_its_number(table, tmp_path):
    numbers = {"plain": 0.5, "anchored": 2.0, "worse": 1.0}
    paths = write_plots(table, tmp_path, numbers)
    assert paths[0].read_text().count("<path") > 3
    assert paths[0].read_bytes() != write_plots(table, tmp_path / "variants")[0].read_bytes()
