"""`make weights` against a hub on this machine: what is fetched, recorded, verified, refused."""

import hashlib

import pytest
from weights_support import BASE, ERASER, INPAINTING, NET, PCM, VAE, Bench, bench

from deployments.checks.finding import Finding
from deployments.checks.job import Job
from deployments.checks.weights import check_weight_sets
from lib.anchor.inpainting_files import inpainting_files
from lib.diffueraser.weight_files import WeightPaths, check_weights
from lib.propainter.weight_files import check_model_dir
from lib.runtime.fingerprints import sha256_file

__all__ = ["bench"]
VAE_FILE = f"{NET}.safetensors"
RAFT = "raft-things.pth"
TOKENIZER = ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")


def engine_sets(bench: Bench, *flags: str) -> int:
    return bench.run("--sets", "sd15,vae,diffueraser,pcm,propainter,anchor", *flags)


def test_what_is_fetched_is_what_the_engines_take(bench):
    assert engine_sets(bench) == 0
    folder = bench.folder
    base, vae, eraser = folder / "stable-diffusion-v1-5", folder / "sd-vae-ft-mse", folder / "diffuEraser"
    check_weights(WeightPaths(base, vae, eraser, folder / "PCM_Weights"))
    check_model_dir(folder / "propainter")
    inpainting_files(folder / "stable-diffusion-inpainting")


def test_only_needed_files_in_one_format_are_fetched(bench):
    assert bench.run() == 0
    assert [path for path in bench.files() if path.startswith("stable-diffusion-v1-5/")] == [
        "stable-diffusion-v1-5/feature_extractor/preprocessor_config.json",
        "stable-diffusion-v1-5/model_index.json",
        "stable-diffusion-v1-5/scheduler/scheduler_config.json",
        "stable-diffusion-v1-5/text_encoder/config.json",
        "stable-diffusion-v1-5/text_encoder/model.safetensors",
        *(f"stable-diffusion-v1-5/tokenizer/{name}" for name in TOKENIZER),
    ]
    weights = [path for path in bench.files() if path.startswith("stable-diffusion-inpainting/") and "model." in path]
    assert weights == [
        "stable-diffusion-inpainting/text_encoder/model.safetensors",
        f"stable-diffusion-inpainting/unet/{VAE_FILE}",
        f"stable-diffusion-inpainting/vae/{VAE_FILE}",
    ]
    assert [path for path in bench.files() if path.startswith("PCM")] == [
        "PCM_Weights/sd15/pcm_sd15_smallcfg_2step_converted.safetensors"
    ]
    assert [path for path in bench.files() if path.startswith("Qwen")] == [
        "Qwen2.5-VL-7B-Instruct/config.json",
        "Qwen2.5-VL-7B-Instruct/merges.txt",
        "Qwen2.5-VL-7B-Instruct/model-00001-of-00001.safetensors",
        "Qwen2.5-VL-7B-Instruct/model.safetensors.index.json",
    ]


def test_pickled_weights_are_taken_only_where_there_are_no_others(bench):
    files = bench.hub.repositories[VAE]
    files[f"{NET}.bin"] = b"\x80" + b"b" * 99
    assert bench.run("--sets", "vae") == 0
    assert f"sd-vae-ft-mse/{NET}.bin" not in bench.files()
    del files[VAE_FILE]
    (bench.folder / "weights.lock.json").unlink()
    assert bench.run("--sets", "vae") == 0
    assert f"sd-vae-ft-mse/{NET}.bin" in bench.files()


def test_the_lock_holds_revision_size_and_sha256_of_every_file(bench):
    assert engine_sets(bench) == 0
    lock = bench.lock()
    assert lock["diffuEraser"]["revision"] == bench.hub.commit(ERASER)
    assert lock["diffuEraser"]["source"] == f"hub:{ERASER}"
    assert lock["propainter"]["revision"] is None
    recorded = {
        f"{folder}/{name}": entry for folder, content in lock.items() for name, entry in content["files"].items()
    }
    assert sorted(recorded) == bench.files()
    for name, entry in recorded.items():
        path = bench.folder / name
        assert entry == {"size": path.stat().st_size, "sha256": sha256_file(path)}


def test_present_files_are_not_fetched_again(bench):
    assert engine_sets(bench) == 0
    bench.hub.seen.clear()
    assert engine_sets(bench) == 0
    assert bench.hub.seen == []


def test_another_pcm_lora_comes_from_the_recorded_revision(bench):
    assert bench.run("--sets", "pcm") == 0
    bench.hub.seen.clear()
    assert bench.run("--sets", "pcm", "--pcm-steps", "2,4") == 0
    assert bench.hub.listings() == [f"/api/models/{PCM}/revision/{bench.hub.commit(PCM)}"]
    assert {path.rpartition("/")[2] for path in bench.hub.fetched()} == {
        "pcm_sd15_smallcfg_4step_converted.safetensors"
    }
    assert len(bench.lock()["PCM_Weights"]["files"]) == 2


def test_a_changed_repository_is_not_taken_over_the_locked_revision(bench, capsys):
    assert bench.run("--sets", "vae") == 0
    (bench.folder / "sd-vae-ft-mse" / VAE_FILE).unlink()
    bench.hub.repositories[VAE][VAE_FILE] += b"newer"
    assert bench.run("--sets", "vae") == 1
    assert "revision" in capsys.readouterr().err
    assert not (bench.folder / "sd-vae-ft-mse" / VAE_FILE).exists()


def test_a_wrong_checksum_is_refused_and_nothing_stays(bench, capsys):
    content = bench.hub.repositories[VAE][VAE_FILE]
    bench.hub.damaged[f"{VAE}/{VAE_FILE}"] = content[:-1] + bytes([content[-1] ^ 1])
    assert bench.run("--sets", "vae") == 1
    said = capsys.readouterr().err
    expected = sha256_of(content)
    assert VAE_FILE in said
    assert f"expected {expected}" in said
    assert sha256_of(bench.hub.damaged[f"{VAE}/{VAE_FILE}"]) in said
    assert bench.files() == ["sd-vae-ft-mse/config.json"]
    assert not (bench.folder / "weights.lock.json").exists()


def test_a_release_file_that_is_not_the_recorded_one_is_refused(bench, capsys):
    assert bench.run("--sets", "propainter") == 0
    recorded = bench.lock()["propainter"]["files"][RAFT]["sha256"]
    (bench.folder / "propainter" / RAFT).unlink()
    bench.hub.damaged[RAFT] = bench.hub.release[RAFT][:-1] + b"!"
    assert bench.run("--sets", "propainter") == 1
    assert f"expected {recorded}" in capsys.readouterr().err
    assert f"propainter/{RAFT}" not in bench.files()


def test_a_damaged_file_is_set_aside_and_fetched_again(bench, capsys):
    assert bench.run("--sets", "vae") == 0
    path = bench.folder / "sd-vae-ft-mse" / VAE_FILE
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    bench.hub.seen.clear()
    assert bench.run("--sets", "vae") == 0
    assert path.read_bytes() == good
    assert {name.rpartition("/")[2] for name in bench.hub.fetched()} == {VAE_FILE}
    assert path.with_name(f".{VAE_FILE}.wrong").is_file()
    assert "must be fetched again" in capsys.readouterr().out


def test_a_web_page_is_not_recorded_as_a_checkpoint(bench, capsys):
    bench.hub.release[RAFT] = b"<html>log in to this network</html>"
    assert bench.run("--sets", "propainter") == 1
    assert RAFT in capsys.readouterr().err
    assert f"propainter/{RAFT}" not in bench.files()


def test_check_compares_everything_and_fetches_nothing(bench, capsys):
    assert engine_sets(bench) == 0
    bench.hub.seen.clear()
    assert bench.run("--check") == 0
    path = bench.folder / "propainter" / RAFT
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    (bench.folder / "sd-vae-ft-mse" / "config.json").unlink()
    assert bench.run("--check") == 1
    said = capsys.readouterr().out
    assert f"WRONG {path}: found sha256" in said
    assert "config.json: missing" in said
    assert bench.run("--check", "--sets", "anchor") == 0
    assert bench.hub.seen == []


def test_check_without_a_lock_fails(bench, capsys):
    assert bench.run("--check") == 1
    assert "weights.lock.json" in capsys.readouterr().err


def test_the_doctor_reads_the_lock(bench):
    assert engine_sets(bench) == 0
    findings = list(check_weight_sets(Job(weights_dir=bench.folder, caption_backend="palette", hashes=True)))
    assert record_of(findings).level == "ok"
    (bench.folder / "sd-vae-ft-mse" / "config.json").write_text("{}")
    findings = list(check_weight_sets(Job(weights_dir=bench.folder, caption_backend="palette", hashes=True)))
    assert any(finding.what == "sd-vae-ft-mse/config.json" and finding.level == "FAIL" for finding in findings)


def record_of(findings: list[Finding]) -> Finding:
    return next(finding for finding in findings if finding.what == "weights' record")


def test_an_engine_that_lacks_a_file_on_the_hub_is_told_its_name(bench, capsys):
    del bench.hub.repositories[INPAINTING]["unet/config.json"]
    assert bench.run("--sets", "anchor") == 1
    assert "unet/config.json" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("--sets", "vea"), ("--existing", "vae"), ("--existing", "vae=/nowhere/at/all")])
def test_bad_usage_is_told(bench, capsys, flags):
    assert bench.run(*flags) == 2
    assert flags[1].partition("=")[0] in capsys.readouterr().err


def test_a_damaged_lock_is_not_overwritten(bench, capsys):
    bench.folder.mkdir()
    lock = bench.folder / "weights.lock.json"
    lock.write_text('{"sets": {"../up": {"files": {}}}}')
    assert bench.run("--sets", "vae") == 1
    assert "outside" in capsys.readouterr().err
    assert "../up" in lock.read_text()
    assert bench.hub.seen == []


def test_half_precision_is_a_folder_of_its_own(bench):
    assert engine_sets(bench, "--fp16") == 0
    half = bench.folder.with_name("weights-fp16")
    check_weights(
        WeightPaths(half / "stable-diffusion-v1-5", half / "sd-vae-ft-mse", half / "diffuEraser", half / "PCM_Weights")
    )
    check_model_dir(half / "propainter")
    ours, theirs = (folder / "diffuEraser" / "unet_main" / VAE_FILE for folder in (half, bench.folder))
    assert ours.stat().st_size < 0.6 * theirs.stat().st_size


def test_half_precision_needs_all_of_diffueraser(bench, capsys):
    assert bench.run("--sets", "vae", "--fp16") == 1
    assert "brushnet" in capsys.readouterr().err


def test_the_base_models_unet_is_never_asked_for(bench):
    assert bench.run("--sets", "stable-diffusion-v1-5") == 0
    assert not [path for path in bench.hub.fetched() if "unet" in path or "safety" in path or path.endswith(".ckpt")]
    assert bench.hub.listings() == [f"/api/models/{BASE}"]


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_unusual_size_is_a_note_and_no_more(bench, capsys):
    assert bench.run("--sets", "pcm") == 0
    assert "134,621,524 or 269,127,064 were seen before" in capsys.readouterr().out
    assert bench.run("--sets", "pcm") == 0
    assert "seen before" not in capsys.readouterr().out
