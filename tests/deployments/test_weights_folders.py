"""Weights that are here already: linked, copied from a mirror, or found in the folder; and the question of licences."""

import io
import shutil

import pytest
from weights_support import NET, QWEN, VAE, Bench, bench

from deployments.weight_store.licences import require_acceptance
from deployments.weight_store.sets import weight_sets
from lib.diffueraser.weight_files import WeightPaths, pcm_file
from lib.errors import InputError

__all__ = ["bench"]
FILE = f"{NET}.safetensors"
RAFT = "raft-things.pth"
VAE_FOLDER = "sd-vae-ft-mse"


def propainter_folder(bench: Bench, folder):
    folder.mkdir()
    for name, content in bench.hub.release.items():
        (folder / name).write_bytes(content)
    return folder


def test_existing_folders_are_linked_and_recorded(bench, eraser_weights):
    assert bench.run("--sets", "vae", "--existing", f"vae={eraser_weights / VAE_FOLDER}") == 0
    link = bench.folder / VAE_FOLDER / FILE
    assert link.is_symlink()
    assert link.samefile(eraser_weights / VAE_FOLDER / FILE)
    assert bench.lock()[VAE_FOLDER]["revision"] is None
    assert bench.run("--check") == 0
    assert bench.run("--sets", "vae") == 0  # and from then on they are there
    assert bench.hub.seen == []


def test_existing_files_that_are_not_the_recorded_ones_are_refused(bench, eraser_weights, tmp_path, capsys):
    assert bench.run("--sets", "vae") == 0
    (bench.folder / VAE_FOLDER / FILE).unlink()
    other = shutil.copytree(eraser_weights / VAE_FOLDER, tmp_path / "other")
    (other / FILE).write_bytes((other / FILE).read_bytes()[:-1] + b"!")
    assert bench.run("--sets", "vae", "--existing", f"vae={other}") == 1
    said = capsys.readouterr().err
    assert str(other / FILE) in said
    assert bench.lock()[VAE_FOLDER]["files"][FILE]["sha256"] in said
    assert not (bench.folder / VAE_FOLDER / FILE).exists()


def test_the_inner_folder_of_pcm_is_accepted(bench, eraser_weights):
    assert bench.run("--sets", "pcm", "--existing", f"pcm={eraser_weights / 'PCM_Weights' / 'sd15'}") == 0
    pcm = bench.folder / "PCM_Weights"
    assert pcm_file(WeightPaths(bench.folder, bench.folder, bench.folder, pcm)).is_symlink()
    assert bench.hub.seen == []


def test_an_existing_folder_that_lacks_something_is_told(bench, tmp_path, capsys):
    folder = propainter_folder(bench, tmp_path / "mine")
    (folder / RAFT).unlink()
    assert bench.run("--sets", "propainter", "--existing", f"propainter={folder}") == 1
    assert RAFT in capsys.readouterr().err


def test_a_mirror_is_copied_with_its_record(bench, tmp_path, monkeypatch):
    assert bench.run("--sets", "vae,propainter") == 0
    mirror = bench.folder.rename(tmp_path / "mirror")
    recorded = (mirror / "weights.lock.json").read_bytes()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bench.hub.seen.clear()
    assert bench.run("--sets", "vae,propainter", "--mirror", str(mirror)) == 0
    assert (bench.folder / "weights.lock.json").read_bytes() == recorded
    assert not (bench.folder / VAE_FOLDER / FILE).is_symlink()
    assert bench.run("--check") == 0
    assert bench.hub.seen == []


def test_a_mirror_whose_file_is_damaged_is_refused(bench, tmp_path, capsys):
    assert bench.run("--sets", "vae") == 0
    mirror = bench.folder.rename(tmp_path / "mirror")
    path = mirror / VAE_FOLDER / FILE
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert bench.run("--sets", "vae", "--mirror", str(mirror)) == 1
    assert "expected" in capsys.readouterr().err
    assert f"{VAE_FOLDER}/{FILE}" not in bench.files()


def test_a_mirror_that_lacks_a_set_is_told(bench, tmp_path, capsys):
    (tmp_path / "mirror").mkdir()
    assert bench.run("--sets", "vae", "--mirror", str(tmp_path / "mirror")) == 1
    assert str(tmp_path / "mirror" / VAE_FOLDER) in capsys.readouterr().err


def test_files_that_lie_in_place_already_are_compared_with_the_hubs_list(bench, eraser_weights):
    shutil.copytree(eraser_weights / VAE_FOLDER, bench.folder / VAE_FOLDER)
    (bench.folder / VAE_FOLDER / "config.json").write_text("{}")
    assert bench.run("--sets", "vae") == 0
    assert [path.rpartition("/")[2] for path in bench.hub.fetched()] == ["config.json"]
    assert (bench.folder / VAE_FOLDER / "config.json").read_bytes() == bench.hub.repositories[VAE]["config.json"]


def test_another_captioner_has_a_folder_of_its_own(bench):
    awq = f"{QWEN}-AWQ"
    bench.hub.repositories[awq] = bench.hub.repositories[QWEN]
    assert bench.run("--sets", "captioner", "--caption_repository", awq) == 0
    assert (bench.folder / "Qwen2.5-VL-7B-Instruct-AWQ" / "config.json").is_file()
    assert not (bench.folder / "Qwen2.5-VL-7B-Instruct").exists()


def test_licences_are_shown_before_anything_is_fetched(bench, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))  # nobody at a terminal
    assert bench.run("--sets", "vae,propainter", licences=False) == 1
    said = capsys.readouterr()
    assert "MIT" in said.out
    assert "NTU S-Lab" in said.out
    assert "--accept_licences" in said.err
    assert bench.hub.fetched() == []
    assert bench.run("--sets", "vae", licences=False) == 0


def test_no_question_about_what_a_person_has_already(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    folder = propainter_folder(bench, tmp_path / "mine")
    assert bench.run("--sets", "propainter", "--existing", f"propainter={folder}", licences=False) == 0
    assert bench.run("--sets", "propainter", licences=False) == 0


@pytest.mark.parametrize(("answer", "taken"), [("yes", True), (" YES ", True), ("y", False), ("", False)])
def test_at_a_terminal_the_answer_counts(answer, taken):
    asked = []

    def ask(question: str) -> str:
        asked.append(question)
        return answer

    if taken:
        require_acceptance(weight_sets(), accepted=False, ask=ask, terminal=True)
    else:
        with pytest.raises(InputError, match="not accepted"):
            require_acceptance(weight_sets(), accepted=False, ask=ask, terminal=True)
    assert len(asked) == 1
    assert "non-commercial" in asked[0]
