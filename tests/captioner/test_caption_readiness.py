"""What is found out about captions before any work starts, and what decides them."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_vlms import write_tiny_vlm

from lib.captioner import readiness
from lib.captioner.backend import CaptionerOptions
from lib.captioner.environment import CaptionEnv, resolve_caption_env
from lib.captioner.readiness import captioner_fingerprint, check_captioner
from lib.captioner.rehearse import rehearse
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PALETTE = CaptionerOptions("palette")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vlm(tmp_path_factory.mktemp("models") / "Tiny-VL", says="A stone wall")


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "Tiny-VL"))


@pytest.fixture
def options(model: Path) -> CaptionerOptions:
    return CaptionerOptions("vlm", str(model))


@pytest.fixture(scope="module")
def env() -> CaptionEnv:
    return resolve_caption_env(sys.executable, ROOT)


@pytest.fixture(autouse=True)
def own_memo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def change_config(model: Path, **changes: object) -> None:
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_check_that_passed_is_not_made_again_until_something_changes(env, options, model, monkeypatch):
    rehearsed = []
    rehearse_there = readiness._rehearse
    monkeypatch.setattr(readiness, "_rehearse", lambda *given: (rehearsed.append(given[1]), rehearse_there(*given)))
    check_captioner(env, options, ROOT)
    check_captioner(env, options, ROOT)
    assert rehearsed == [options]
    check_captioner(env, replace(options, max_pixels=50176), ROOT)
    assert len(rehearsed) == 2
    monkeypatch.setattr(readiness, "_rehearse", lambda *given: rehearsed.append(given[1]))
    check_captioner(replace(env, versions={**env.versions, "numpy": "0"}), options, ROOT)
    change_config(model, use_cache=False)
    check_captioner(env, options, ROOT)
    assert len(rehearsed) == 4


def test_a_check_that_failed_is_made_again(env, options, monkeypatch):
    tries = []

    def fail(*_: object) -> None:
        tries.append(1)
        raise InputError("no")

    monkeypatch.setattr(readiness, "_rehearse", fail)
    for _ in range(2):
        with pytest.raises(InputError):
            check_captioner(env, options, ROOT)
    assert len(tries) == 2


def test_the_rehearsal_runs_in_the_environment(env, options, model):
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"Caption environment .* cannot run the caption model: .*Tiny-VL"):
        check_captioner(env, options, ROOT)


def test_an_interpreter_that_dies_is_told_with_its_last_words(env, options, tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no disk left >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match="ended with exit code 3: no disk left"):
        check_captioner(replace(env, python=program), options, ROOT)


def test_old_libraries_are_refused(env, options):
    old = replace(env, versions={**env.versions, "transformers": "4.44.2"})
    with pytest.raises(InputError, match=r"found transformers 4\.44\.2; .* need 4\.49 or newer.*pip install --upgrade"):
        check_captioner(old, options, ROOT)


def test_missing_libraries_are_named(env, options):
    bare = replace(env, modules=frozenset({"numpy", "PIL", "yaml"}))
    with pytest.raises(InputError, match="lacks torch, transformers"):
        check_captioner(bare, options, ROOT)
    check_captioner(bare, PALETTE, ROOT)


def test_quantised_weights_need_a_gpu(env, options, model):
    change_config(model, quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(InputError, match=r"quantised \(awq\), which needs a GPU"):
        check_captioner(replace(env, capability=None), options, ROOT)


def test_quantised_weights_need_their_reader(options, model):
    change_config(model, quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(InputError, match="needs the package gptqmodel"):
        rehearse(options)


def test_flash_attention_needs_its_package(options):
    with pytest.raises(InputError, match=r"needs the package flash-attn; install it: .* -m pip install flash-attn"):
        rehearse(replace(options, attention="flash_attention_2"))


def test_an_unknown_kind_of_model_names_what_is_installed(options, model):
    change_config(model, model_type="qwen9_vl")
    with pytest.raises(
        InputError, match=r"found a qwen9_vl model, which transformers 5\.\S+ .* does not know; install"
    ):
        rehearse(options)


def test_a_model_without_eyes_is_refused(options, model):
    change_config(model, model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    with pytest.raises(InputError, match="found a qwen2 model, which does not answer questions about pictures"):
        rehearse(options)


def test_a_model_without_chat_template_is_refused(options, model):
    path = model / "tokenizer_config.json"
    told = json.loads(path.read_text())
    del told["chat_template"]
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match="found no chat template"):
        rehearse(options)


def test_what_decides_a_sentence_is_in_the_fingerprint(env, options, model):
    env = replace(env, capability=None)
    first = captioner_fingerprint(env, options)
    assert first == captioner_fingerprint(env, replace(options, dtype="float32", attention="sdpa", device="cpu"))
    others = [
        captioner_fingerprint(env, replace(options, **change))
        for change in (
            {"dtype": "bfloat16"},
            {"attention": "eager"},
            {"max_pixels": 50176},
            {"system_prompt": "other rules"},
            {"multi_sample_merge": "summary"},
            {"object_negative_prompt": True},
        )
    ]
    for package in ("torch", "transformers", "pillow"):
        others.append(captioner_fingerprint(replace(env, versions={**env.versions, package: "0"}), options))
    others.append(captioner_fingerprint(replace(env, capability=(9, 0)), options))
    others.append(captioner_fingerprint(replace(env, capability=(7, 5)), options))
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    others.append(captioner_fingerprint(env, options))
    found = [json.dumps(item, sort_keys=True) for item in (first, *others)]
    assert len(set(found)) == len(found)


def test_where_the_model_lies_is_not(env, options, model, tmp_path):
    moved = shutil.copytree(model, tmp_path / "elsewhere" / "Other-Name")
    moved_options = replace(options, model_path=str(moved))
    assert captioner_fingerprint(env, options) == captioner_fingerprint(env, moved_options)


def test_the_palette_depends_on_nothing(env):
    assert captioner_fingerprint(env, PALETTE) == {"name": "palette", "version": "1"}
