import json
import shutil
from pathlib import Path

import pytest
from tiny_vlms import write_tiny_vlm

from lib.captioner.model_files import find_model, small_files
from lib.errors import InputError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vlm(tmp_path_factory.mktemp("models") / "Tiny-VL", says="A stone wall")


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "Tiny-VL"))


def test_a_folder(model):
    found = find_model(str(model))
    assert (found.folder, found.name, found.model_type, found.quantisation) == (model, "Tiny-VL", "qwen2_5_vl", "")
    assert find_model(f"{model}/") == found
    names = {path.name for path in small_files(model)}
    assert {"config.json", "tokenizer.json", "preprocessor_config.json"} <= names
    assert "model.safetensors" not in names


def test_a_relative_folder_is_found_from_anywhere(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    assert find_model("Tiny-VL").folder == model


def test_a_hub_name_is_looked_up_in_the_local_cache(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--some--Tiny-VL"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    (repository / "snapshots").mkdir()
    shutil.move(model, repository / "snapshots" / "abc123")
    found = find_model("some/Tiny-VL")
    assert (found.name, found.folder) == ("Tiny-VL", repository / "snapshots" / "abc123")


@pytest.mark.parametrize("spec", ["some/Other-VL", "/nowhere/Tiny-VL", "nosuch"])
def test_a_missing_model_is_told_with_the_command_that_fetches_one(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"hf download \S+/\S+ --local-dir") as error:
        find_model(spec)
    assert str(error.value).startswith(f"{spec}: ")
    assert (str(tmp_path / "hub") in str(error.value)) == ("some/" in spec)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def as_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def in_parts(model: Path) -> None:
    """The weights as two parts of which one is not there."""
    shutil.move(model / "model.safetensors", model / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda model: (model / "config.json").unlink(), "no config.json"),
        (lambda model: (model / "config.json").write_text("{}"), "names no model_type"),
        (lambda model: (model / "config.json").write_text("[1]"), "config.json is not JSON"),
        (lambda model: (model / "tokenizer_config.json").write_text("{"), "tokenizer_config.json is not JSON"),
        (lambda model: (model / "tokenizer.json").unlink(), "no tokenizer.json or"),
        (lambda model: (model / "preprocessor_config.json").unlink(), "no preprocessor_config.json or"),
        (lambda model: (model / "model.safetensors").unlink(), "no weights: model.safetensors"),
        (lambda model: cut(model / "model.safetensors"), r"model.safetensors has \d+ bytes, expected \d+"),
        (lambda model: as_pointer(model / "model.safetensors"), "is a Git LFS pointer"),
        (lambda model: (model / "model.safetensors").write_bytes(b""), "has no safetensors header"),
        (lambda model: (model / "model.safetensors").write_bytes(b"x" * 99), "has no safetensors header"),
        (in_parts, "model-00002-of-00002.safetensors is missing"),
    ],
)
def test_what_a_folder_lacks_is_named(model, damage, said):
    damage(model)
    with pytest.raises(InputError, match=said) as error:
        find_model(str(model))
    assert str(model) in str(error.value)


def test_everything_is_named_at_once(model):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).unlink()
    with pytest.raises(InputError) as error:
        find_model(str(model))
    assert str(error.value).count("\n  - ") == 3


def test_quantised_weights_are_known_by_their_config(model):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "awq"}}))
    assert find_model(str(model)).quantisation == "awq"
