import json
import os
import shutil
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from tiny_vlms import write_tiny_vlm

from lib.captioner import palette, readiness
from lib.captioner.backend import CaptionerOptions
from lib.captioner.environment import CaptionEnv, inspect_interpreter
from lib.captioner.model.files import find_model
from lib.captioner.readiness import captioner_fingerprint, check_captioner
from lib.captioner.rehearse import main, rehearse
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
MODULES = frozenset({"numpy", "PIL", "yaml", "torch", "transformers"})
VERSIONS = {"torch": "2.13.0", "transformers": "5.23.0", "pillow": "13.0.0"}
GOOD = '{"ok": true, "device": "cpu"}'


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    return write_tiny_vlm(tmp_path_factory.mktemp("models") / "Tiny-VL", says="A quiet stone courtyard")


@pytest.fixture
def model(published, tmp_path, monkeypatch) -> Path:
    """A copy to be damaged, and no memory of earlier checks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(published, tmp_path / "Tiny-VL"))


class Interpreter:
    """Stands in for a caption environment's interpreter: counts its starts and says what it was told to say."""

    def __init__(self, folder: Path) -> None:
        self.path, self._starts = folder / "python", folder / "starts"
        self.says(f"echo '{GOOD}'")

    def says(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\necho started >> {self._starts}\n{script}\n")
        self.path.chmod(0o755)

    @property
    def starts(self) -> int:
        return len(self._starts.read_text().splitlines()) if self._starts.exists() else 0


@pytest.fixture
def interpreter(tmp_path) -> Interpreter:
    return Interpreter(tmp_path)


@pytest.fixture
def env(interpreter) -> CaptionEnv:
    return CaptionEnv(interpreter.path, "/envs/captions", "3.10.13", MODULES, VERSIONS)


def options(model: Path, **values) -> CaptionerOptions:
    return CaptionerOptions(**{"backend": "vlm", "model_path": str(model), **values})


def change_json(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_real_environment_and_model_pass_and_are_remembered(model, monkeypatch):
    env = inspect_interpreter(Path(sys.executable))
    check_captioner(env, options(model, device="cpu"), ROOT)
    monkeypatch.setattr(readiness.subprocess, "run", lambda *_args, **_options: pytest.fail("rehearsed again"))
    check_captioner(env, options(model, device="cpu"), ROOT)


def test_what_fails_in_a_real_environment_is_told_from_there(model):
    (model / "tokenizer.json").write_text("{}")
    env = inspect_interpreter(Path(sys.executable))
    with pytest.raises(InputError, match=r"Caption environment .* cannot run the caption model: .*Tiny-VL"):
        check_captioner(env, options(model, device="cpu"), ROOT)


def test_the_palette_needs_no_model_and_no_rehearsal(env, interpreter):
    check_captioner(env, CaptionerOptions(), ROOT)
    with pytest.raises(InputError, match="lacks numpy"):
        check_captioner(replace(env, modules=MODULES - {"numpy"}), CaptionerOptions(), ROOT)
    assert interpreter.starts == 0


def test_missing_modules_models_and_versions_cost_no_rehearsal(env, interpreter, model, tmp_path):
    with pytest.raises(InputError, match=r"lacks transformers .*-m pip install transformers"):
        check_captioner(replace(env, modules=MODULES - {"transformers"}), options(model), ROOT)
    with pytest.raises(InputError, match="hf download"):
        check_captioner(env, options(tmp_path / "nowhere"), ROOT)
    (model / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="not a whole vision-language model"):
        check_captioner(env, options(model), ROOT)
    assert interpreter.starts == 0


@pytest.mark.parametrize(
    ("family", "found", "oldest"),
    [
        ("qwen2_5_vl", "4.48.3", "4.49"),
        ("qwen3_vl", "4.56.2", "4.57"),
        ("internvl", "4.49.0", "4.52"),
        ("smolvlm", "4.49.0", "4.50"),
        ("some_newer_vl", "4.48.0", "4.49"),
    ],
)
def test_a_transformers_too_old_for_the_family_is_named(env, interpreter, model, family, found, oldest):
    change_json(model / "config.json", model_type=family)
    with pytest.raises(InputError) as error:
        check_captioner(replace(env, versions={**VERSIONS, "transformers": found}), options(model), ROOT)
    expected = f"found transformers {found}; Tiny-VL ({family}) needs {oldest} or newer. Install with: {env.python} -m"
    assert expected in str(error.value)
    check_captioner(replace(env, versions={**VERSIONS, "transformers": f"{oldest}.0.dev0"}), options(model), ROOT)
    assert interpreter.starts == 1


def test_quantised_weights_need_a_gpu(env, interpreter, model):
    change_json(model / "config.json", quantization_config={"quant_method": "awq"})
    with pytest.raises(InputError, match=r"quantised \(awq\), which needs a GPU"):
        check_captioner(env, options(model), ROOT)
    interpreter.says('echo \'{"ok": true, "device": "cuda"}\'')
    check_captioner(replace(env, capability=(8, 0), gpu_bytes=2**34), options(model), ROOT)


def test_a_model_that_the_memory_cannot_hold_is_refused_with_numbers(env, interpreter, model, monkeypatch):
    interpreter.says('echo \'{"ok": true, "device": "cuda"}\'')
    size = 2 * find_model(str(model)).numbers
    gpu = replace(env, capability=(8, 0), gpu_bytes=size)
    check_captioner(gpu, options(model), ROOT)
    with pytest.raises(InputError, match=r"Tiny-VL in bfloat16 takes"):
        check_captioner(replace(gpu, gpu_bytes=size - 1), options(model), ROOT)
    with pytest.raises(InputError, match=r"Tiny-VL in float32 takes 0\.0 GiB, and the GPU has 0\.0 GiB.*AWQ"):
        check_captioner(gpu, options(model, dtype="float32"), ROOT)
    monkeypatch.setattr(readiness.os, "sysconf", lambda _name: 1)  # a machine with one page of one byte
    with pytest.raises(InputError, match=r"in float32 takes 0\.0 GiB, and the machine \(no GPU is used\) has"):
        check_captioner(env, options(model), ROOT)


def test_what_a_check_was_about_decides_whether_it_is_repeated(env, interpreter, model, tmp_path):
    check_captioner(env, options(model), ROOT)
    moved = Path(shutil.move(model, tmp_path / "moved"))
    (moved / "README.md").write_text("# Tiny")
    check_captioner(env, options(moved), ROOT)
    assert interpreter.starts == 1
    change_json(moved / "tokenizer_config.json", model_max_length=4096)
    check_captioner(env, options(moved), ROOT)
    check_captioner(replace(env, versions={**VERSIONS, "torch": "2.13.1"}), options(moved), ROOT)
    check_captioner(env, options(moved, attention="eager"), ROOT)
    check_captioner(env, options(moved), ROOT)
    assert interpreter.starts == 1 + 3


def test_a_failure_is_not_remembered(env, interpreter, model):
    interpreter.says('echo \'{"ok": false, "error": "no chat template"}\'; exit 1')
    for _ in range(2):
        with pytest.raises(InputError, match=r"/envs/captions cannot run the caption model: no chat template"):
            check_captioner(env, options(model), ROOT)
    interpreter.says(f"echo '{GOOD}'")
    check_captioner(env, options(model), ROOT)
    assert interpreter.starts == 3


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'Segmentation fault' >&2; exit 139", "ended with exit code 139: Segmentation fault"),
        ("kill -9 $$", "ended with exit code -9"),
        ("echo hello", "ended with exit code 0"),
        ("echo '[1]'", "ended with exit code 0"),
        ("echo '{}'", "it did not say why"),
    ],
)
def test_interpreters_that_break_down_are_reported(env, interpreter, model, script, problem):
    interpreter.says(script)
    with pytest.raises(InputError) as error:
        check_captioner(env, options(model), ROOT)
    assert problem in str(error.value)


def test_an_interpreter_that_never_answers_is_cut(env, interpreter, model, monkeypatch):
    monkeypatch.setattr(readiness, "_REHEARSAL_SECONDS", 0.5)
    interpreter.says("exec sleep 600")
    with pytest.raises(InputError, match="no answer within"):
        check_captioner(env, options(model), ROOT)


def test_what_an_environment_says_by_itself_does_no_harm(env, interpreter, model):
    interpreter.says(f"echo 'Welcome!'; echo '{GOOD}'")
    check_captioner(env, options(model), ROOT)


def test_a_gpu_that_torch_does_not_find_is_told(env, model):
    with pytest.raises(InputError, match=r"device would be cuda, and torch 2\.13\.0 finds cpu.*--caption_device cpu"):
        check_captioner(replace(env, capability=(9, 0), gpu_bytes=2**36), options(model), ROOT)
    check_captioner(replace(env, capability=(9, 0), gpu_bytes=2**36), options(model, device="cpu"), ROOT)


def test_a_memory_that_cannot_be_read_or_written_costs_time_only(env, interpreter, model, tmp_path):
    memo = tmp_path / "cache" / "auto-refine" / "caption_checks.json"
    memo.parent.mkdir(parents=True)
    for content in ("", "{}", "[1, null"):
        memo.write_text(content)
        check_captioner(env, options(model), ROOT)
    assert interpreter.starts == 3
    check_captioner(env, options(model), ROOT)
    assert interpreter.starts == 3
    memo.unlink()
    memo.mkdir()
    check_captioner(env, options(model), ROOT)
    assert interpreter.starts == 4
    assert sorted(path.name for path in memo.parent.iterdir()) == [memo.name]


def test_the_memory_does_not_grow_for_ever(env, model, tmp_path, monkeypatch):
    monkeypatch.setattr(readiness, "_REMEMBERED", 3)
    for pixels in range(5):
        check_captioner(env, options(model, max_pixels=100_000 + pixels), ROOT)
    memo = tmp_path / "cache" / "auto-refine" / "caption_checks.json"
    assert len(json.loads(memo.read_text())) == 3


def test_the_rehearsal_says_what_it_found(model):
    found = rehearse(options(model, device="cpu"))
    assert found.pop("tokens") > 100
    assert found.pop("image_processor").startswith("Qwen2VLImageProcessor")
    assert found == {"device": "cpu", "dtype": "float32", "transformers": version("transformers")}


def unknown_family(model: Path) -> None:
    change_json(model / "config.json", model_type="qwen9_vl")


def own_code(model: Path) -> None:
    change_json(model / "config.json", model_type="internvl_chat", auto_map={"AutoConfig": "configuration.Config"})


def text_only(model: Path) -> None:
    change_json(model / "config.json", model_type="qwen2")


def no_template(model: Path) -> None:
    change_json(model / "tokenizer_config.json", chat_template=None)


def broken_template(model: Path) -> None:
    change_json(model / "tokenizer_config.json", chat_template="{{ raise_exception('no pictures') }}")


def quantised(model: Path) -> None:
    change_json(model / "config.json", quantization_config={"quant_method": "awq", "bits": 4})


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            unknown_family,
            r"found a qwen9_vl model, which transformers [\d.]+ of this environment does not know.*-m pip",
        ),
        (own_code, r"models that bring their own code are not run: take a variant .* such as -hf"),
        (text_only, r"found a qwen2 model, which does not answer questions about pictures"),
        (no_template, r"found no chat template"),
        (broken_template, r"takes no question about a picture \(no pictures\)"),
        (quantised, r"the awq weights of .*Tiny-VL: missing .*: gptqmodel; install with: .*-m pip install gptqmodel$"),
    ],
)
def test_the_rehearsal_refuses_what_cannot_caption(model, damage, problem):
    damage(model)
    with pytest.raises(InputError, match=problem):
        rehearse(options(model, device="cpu"))


def test_the_rehearsal_asks_for_flash_attention_where_it_is_wanted(model):
    with pytest.raises(InputError, match="flash_attention_2: missing in this environment: flash-attn"):
        rehearse(options(model, device="cpu", attention="flash_attention_2"))


@pytest.mark.parametrize("given", ['{"backend": "vlm", "model_path": "/nowhere/model"}', '{"backing": "vlm"}', "{"])
def test_every_failure_of_the_rehearsal_is_one_line_of_json(given, capfd, monkeypatch):
    monkeypatch.setattr(os, "dup2", lambda *_numbers: None)  # the test's own stdout stays
    assert main(["--options", given]) == 1
    outcome = json.loads(capfd.readouterr().out)
    assert outcome["ok"] is False
    assert outcome["error"]


def test_everything_that_decides_a_sentence_is_in_the_fingerprint(env, model):
    plain = captioner_fingerprint(env, options(model))
    said_aloud = {"device": "cpu", "dtype": "float32", "attention": "sdpa"}
    assert plain == captioner_fingerprint(env, options(model, **said_aloud))
    others = [
        captioner_fingerprint(env, options(model, **change))
        for change in (
            {"dtype": "bfloat16"},
            {"attention": "eager"},
            {"max_pixels": 200_000},
            {"system_prompt": "Be brief."},
            {"multi_sample_merge": "summary"},
            {"object_negative_prompt": True},
        )
    ]
    others += [
        captioner_fingerprint(replace(env, versions={**VERSIONS, name: "9.9.9"}), options(model)) for name in VERSIONS
    ]
    gpus = [replace(env, capability=capability) for capability in ((7, 5), (8, 0))]
    others += [captioner_fingerprint(gpu, options(model)) for gpu in gpus]
    change_json(model / "generation_config.json", repetition_penalty=1.2)
    others.append(captioner_fingerprint(env, options(model)))
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    others.append(captioner_fingerprint(env, options(model)))
    everything = [plain, *others, captioner_fingerprint(env, CaptionerOptions())]
    assert len({json.dumps(fingerprint, sort_keys=True) for fingerprint in everything}) == len(everything)
    assert {fingerprint["dtype"] for fingerprint in [plain, *others]} == {"float32", "bfloat16", "float16"}


def test_where_a_model_and_its_environment_lie_does_not_matter(env, model, tmp_path):
    here = captioner_fingerprint(env, options(model))
    moved = shutil.move(model, tmp_path / "moved")
    elsewhere = replace(env, python=Path("/elsewhere/python"), prefix="/elsewhere")
    assert captioner_fingerprint(elsewhere, options(Path(moved))) == here


def test_nothing_but_its_version_decides_what_the_palette_says(env):
    assert captioner_fingerprint(env, CaptionerOptions()) == {"name": "palette", "version": palette.VERSION}
