"""Weights and captioner as the doctor sees them: the tiny ones that the engines' tests use."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from deployments.checks.captions import check_captions
from deployments.checks.finding import Finding
from deployments.checks.job import Job
from deployments.checks.weights import LOCK_FILE, check_weight_sets
from lib.captioner import readiness
from lib.propainter.weight_files import FILES
from lib.runtime.fingerprints import sha256_file


@pytest.fixture
def weights(eraser_weights, tmp_path) -> Path:
    """All sets but the caption model; a copy to be damaged."""
    folder = Path(shutil.copytree(eraser_weights, tmp_path / "weights"))
    (folder / "propainter").mkdir()
    for name in FILES:
        with zipfile.ZipFile(folder / "propainter" / name, "w") as archive:
            archive.writestr("data.pkl", b"")
    return folder


def found(weights: Path, **job) -> list[Finding]:
    return list(check_weight_sets(Job(**{"weights_dir": weights, "caption_backend": "palette", **job})))


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings}


def failed(findings: list[Finding]) -> list[str]:
    return [f"{finding.found} {finding.advice}" for finding in findings if finding.level == "FAIL"]


def test_whole_weights_are_ok(weights):
    assert levels(found(weights)) == {
        "DiffuEraser's weights": "ok",
        "ProPainter's weights": "ok",
        "anchor's weights": "ok",
        "caption model": "skip",
        "metrics' weights": "skip",
        "weights' record": "skip",
    }


def test_no_weights_at_all_are_told_set_by_set(tmp_path):
    findings = found(tmp_path / "nowhere", caption_backend=None)
    assert {finding.level for finding in findings} == {"FAIL", "skip"}
    said = "\n".join(failed(findings))
    for name in ("stable-diffusion-v1-5", "sd-vae-ft-mse", "diffuEraser", "PCM_Weights", "propainter", "inpainting"):
        assert name in said
    assert "hf download Qwen/Qwen2.5-VL-7B-Instruct" in said


def test_what_the_engine_does_not_need_may_be_missing(tmp_path):
    findings = levels(found(tmp_path, engine="propainter"))
    assert (findings["DiffuEraser's weights"], findings["anchor's weights"]) == ("skip", "skip")
    assert findings["ProPainter's weights"] == "FAIL"
    assert set(levels(found(tmp_path, engine="propagation")).values()) == {"skip"}


def test_a_file_cut_short_is_named(weights):
    damaged = weights / "diffuEraser" / "unet_main" / "diffusion_pytorch_model.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1000])
    (said,) = failed(found(weights))
    assert str(damaged) in said and "incomplete" in said
    assert levels(found(weights))["ProPainter's weights"] == "ok"


def test_another_models_file_is_named(weights):
    brushnet, unet = (
        weights / "diffuEraser" / name / "diffusion_pytorch_model.safetensors" for name in ("brushnet", "unet_main")
    )
    shutil.copy(unet, brushnet)
    (said,) = failed(found(weights))
    assert str(brushnet) in said and "a UNet with motion modules" in said and "expected a BrushNet" in said


def test_several_problems_are_lines_of_their_own(weights):
    (weights / "sd-vae-ft-mse" / "config.json").unlink()
    (weights / "propainter" / FILES[0]).unlink()
    (weights / "stable-diffusion-inpainting" / "unet" / "config.json").write_text("<html>")
    assert len(failed(found(weights))) == 3


def test_the_lora_of_the_steps_that_are_asked_for(weights):
    (weights / "PCM_Weights" / "sd15" / "pcm_sd15_smallcfg_4step_converted.safetensors").unlink()
    assert failed(found(weights)) == []
    (said,) = failed(found(weights, pcm_steps=4))
    assert "4step" in said


def record(weights: Path, *names: str) -> Path:
    """The lock of these files, as a download writes it."""
    sets: dict = {}
    for folder, _, name in (name.partition("/") for name in names):
        path = weights / folder / name
        files = sets.setdefault(folder, {"revision": "r", "files": {}})["files"]
        files[name] = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    lock = weights / LOCK_FILE
    lock.write_text(json.dumps({"sets": sets}))
    return lock


def test_files_are_compared_with_the_record_of_their_download(weights):
    record(weights, f"propainter/{FILES[0]}", f"propainter/{FILES[1]}", "sd-vae-ft-mse/config.json")
    findings = {finding.what: finding for finding in found(weights)}
    assert findings["weights' record"].found == "3 files have their recorded sizes (--hashes compares contents)"
    config = weights / "sd-vae-ft-mse" / "config.json"
    config.write_text(config.read_text().replace('"AutoencoderKL"', '"AutoencoderKX"'))  # of the same size
    assert levels(found(weights))["weights' record"] == "ok"
    (said,) = failed(found(weights, hashes=True))
    assert "sha256" in said and "recorded was" in said
    assert levels(found(weights, hashes=True))["sd-vae-ft-mse/config.json"] == "FAIL"
    config.write_text(config.read_text() + " ")
    assert "bytes, recorded were" in failed(found(weights))[0]


def test_a_recorded_file_that_is_gone_is_named(weights):
    other = weights / "propainter" / "notes.txt"
    other.write_text("x")
    record(weights, "propainter/notes.txt")
    other.unlink()
    assert levels(found(weights))["propainter/notes.txt"] == "FAIL"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sets": {"a": {"files": {"b": {}}}}}'])
def test_a_record_that_is_none_is_told(weights, content):
    (weights / LOCK_FILE).write_text(content)
    (said,) = failed(found(weights))
    assert LOCK_FILE in said and "make weights" in said


def test_captions_by_palette_need_an_interpreter_only():
    (finding,) = check_captions(Job(engine="propagation"))
    assert finding.level == "ok" and "palette" in finding.found


def test_a_caption_environment_that_is_not_there(tmp_path):
    (finding,) = check_captions(Job(engine="propagation", caption_env=str(tmp_path / "env")))
    assert finding.level == "FAIL" and str(tmp_path / "env") in finding.found and "make caption-env" in finding.found


def test_a_caption_model_that_is_not_there(tmp_path):
    job = Job(weights_dir=tmp_path, caption_model=str(tmp_path / "Tiny-VL"))
    (finding,) = check_captions(job)
    assert finding.level == "FAIL" and "Tiny-VL" in finding.found


def write_model(folder: Path) -> Path:
    """What a vision-language model's folder must hold, with one number as weights."""
    folder.mkdir()
    for name, content in {"config": {"model_type": "smolvlm"}, "tokenizer": {}, "preprocessor_config": {}}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    return folder


def test_a_caption_model_is_looked_at_and_rehearsed(tmp_path, monkeypatch):
    model = write_model(tmp_path / "Qwen2.5-VL-7B-Instruct")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # no memory of earlier checks
    outcome = {"ok": True, "device": "cpu"}
    monkeypatch.setattr(readiness, "_rehearsal", lambda *_: outcome)  # a real one is tested with the captioner
    job = Job(weights_dir=tmp_path, caption_backend="vlm", env={})
    assert levels(found(tmp_path, caption_backend=None))["caption model"] == "ok"
    outcome |= {"ok": False, "error": "no such class"}
    (finding,) = check_captions(job)
    assert finding.level == "FAIL" and "no such class" in finding.found
    outcome |= {"ok": True}
    (finding,) = check_captions(job)
    assert finding.level == "ok" and finding.found.endswith("on cpu; rehearsed")
    (model / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert "Git LFS pointer" in str(list(check_captions(job)))
    assert levels(found(tmp_path, caption_backend=None))["caption model"] == "FAIL"
