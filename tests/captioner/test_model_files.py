import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.captioner.model.files import ModelFiles, find_model, small_files
from lib.errors import InputError

HEADER = {
    "visual.weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
    "__metadata__": {"format": "pt"},
}
PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


def safetensors(numbers: int = 6) -> bytes:
    header = json.dumps(HEADER).encode()
    return len(header).to_bytes(8, "little") + header + bytes(2 * numbers)


def write_model(folder: Path) -> Path:
    """A folder in the published layout whose weights lie in two parts."""
    folder.mkdir(parents=True)
    config = {"model_type": "qwen2_5_vl", "torch_dtype": "bfloat16", "quantization_config": None}
    contents = {
        "config.json": config,
        "tokenizer.json": {"version": "1.0"},
        "preprocessor_config.json": {"patch_size": 14},
        INDEX: {"weight_map": {"visual.weight": PARTS[0], "lm_head.weight": PARTS[1], "norm.weight": PARTS[1]}},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    for part in PARTS:
        (folder / part).write_bytes(safetensors())
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    return write_model(tmp_path / "Tiny-VL")


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """The hub's cache with one model, laid out as the hub's client does: links to blobs, a file that names a commit."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "huggingface" / "hub"
    repository = cache / "models--Maker--Tiny-VL"
    snapshot, blobs = write_model(repository / "snapshots" / "0a1b2c"), repository / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(snapshot.iterdir())):
        shutil.move(path, blobs / str(number))
        path.symlink_to(Path("..", "..", "blobs", str(number)))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0a1b2c")
    return cache


def test_a_whole_folder_is_found_from_anywhere(model, monkeypatch):
    size = 2 * len(safetensors())
    assert find_model(str(model)) == ModelFiles(model, "Tiny-VL", "qwen2_5_vl", size, numbers=2 * 6)
    monkeypatch.chdir(model)
    for spec in (f"{model}/", ".", "../Tiny-VL", "./"):
        assert find_model(spec) == find_model(str(model)), spec


def test_a_link_keeps_its_own_name(model, tmp_path):
    (tmp_path / "captioner").symlink_to(model)
    assert find_model(str(tmp_path / "captioner")).name == "captioner"


def test_weights_in_one_file_come_before_an_index(model):
    (model / "model.safetensors").write_bytes(safetensors())
    (model / PARTS[0]).unlink()
    assert find_model(str(model)).weight_bytes == len(safetensors())


def test_old_weights_count_too(model):
    for path in (model / INDEX, *(model / part for part in PARTS)):
        path.unlink()
    (model / "pytorch_model.bin").write_bytes(b"PK numbers")
    files = find_model(str(model))
    assert (files.weight_bytes, files.numbers) == (len(b"PK numbers"), 0)
    (model / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is empty"):
        find_model(str(model))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"torch_dtype": "float32"}, ("", False)),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, ("awq", False)),
        ({"quantization_config": {"bits": 4}}, ("in an unknown way", False)),
        ({"auto_map": {"AutoModel": "modeling.Model"}}, ("", True)),
    ],
)
def test_what_the_configuration_tells(model, config, expected):
    (model / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl", **config}))
    files = find_model(str(model))
    assert (files.quantisation, files.own_code) == expected


def remove(*names: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def put(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


DAMAGES = {
    "no config": (remove("config.json"), "no config.json"),
    "no tokenizer": (remove("tokenizer.json"), "no tokenizer.json or tokenizer.model or vocab.json"),
    "no pictures": (remove("preprocessor_config.json"), "no preprocessor_config.json or processor_config.json"),
    "no weights": (remove(INDEX, *PARTS), "no weights: model.safetensors or pytorch_model.bin, whole or in parts"),
    "a part missing": (remove(PARTS[1]), f"{PARTS[1]} is missing"),
    "empty config": (put("config.json", b""), "config.json is empty, unreadable or no JSON object"),
    "cut config": (put("config.json", b'{"model_type": "qw'), "config.json is empty, unreadable or no JSON object"),
    "config of bytes": (put("config.json", b"\xff\xfe"), "config.json is empty, unreadable or no JSON object"),
    "config list": (put("config.json", b"[]"), "config.json is empty, unreadable or no JSON object"),
    "nested config": (put("config.json", b"[" * 100_000), "config.json is empty, unreadable or no JSON object"),
    "nameless": (put("config.json", b"{}"), "config.json names no model_type"),
    "numbered": (put("config.json", b'{"model_type": 7}'), "config.json names no model_type"),
    "cut tokenizer": (put("tokenizer.json", b'{"a'), "tokenizer.json is empty, unreadable or no JSON object"),
    "cut index": (put(INDEX, b'{"weight_map'), f"{INDEX} names no parts"),
    "empty index": (put(INDEX, b'{"weight_map": {}}'), f"{INDEX} names no parts"),
    "index of a list": (put(INDEX, b'{"weight_map": []}'), f"{INDEX} names no parts"),
    "empty part": (put(PARTS[0], b""), f"{PARTS[0]} has no safetensors header"),
    "cut header": (put(PARTS[0], safetensors()[:30]), f"{PARTS[0]} has no safetensors header"),
    "cut numbers": (put(PARTS[0], safetensors()[:-1]), "bytes, expected"),
    "too many numbers": (put(PARTS[0], safetensors(7)), "bytes, expected"),
    "an error page": (put(PARTS[0], b"<html>not found</html>"), f"{PARTS[0]} has no safetensors header"),
    "header list": (put(PARTS[0], (2).to_bytes(8, "little") + b"[]"), f"{PARTS[0]} has no safetensors header"),
    "header of nothing": (put(PARTS[0], (2).to_bytes(8, "little") + b"{}"), f"{PARTS[0]} has no safetensors header"),
    "shapeless": (put(PARTS[0], safetensors().replace(b'"shape"', b'"sharp"')), "has no safetensors header"),
    "pointer": (put(PARTS[0], b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS pointer"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damages_are_named(model, kind):
    damage, expected = DAMAGES[kind]
    damage(model)
    with pytest.raises(InputError) as error:
        find_model(str(model))
    first, *problems = str(error.value).splitlines()
    assert first == f"{model}: not a whole vision-language model; fetch it again:"
    assert any(expected in problem for problem in problems)


def test_a_download_in_progress_names_all_that_is_missing_at_once(model):
    for name in ("tokenizer.json", *PARTS):
        (model / name).unlink()
    with pytest.raises(InputError) as error:
        find_model(str(model))
    assert len(str(error.value).splitlines()) == 1 + 3


def test_the_hubs_cache_is_looked_into(hub_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snapshot = hub_cache / "models--Maker--Tiny-VL" / "snapshots" / "0a1b2c"
    found = find_model("Maker/Tiny-VL")
    assert (found.folder, found.name) == (snapshot, "Tiny-VL")
    assert find_model(str(snapshot)) == found  # and not by the commit's name
    write_model(tmp_path / "Maker" / "Tiny-VL")
    assert find_model("Maker/Tiny-VL").folder == tmp_path / "Maker" / "Tiny-VL"


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_cache_lies_where_the_hubs_own_variables_say(hub_cache, tmp_path, monkeypatch, variable):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError):
        find_model("Maker/Tiny-VL")
    monkeypatch.setenv(variable, str(hub_cache.parent if variable == "HF_HOME" else hub_cache))
    assert find_model("Maker/Tiny-VL").name == "Tiny-VL"


def test_a_model_that_is_nowhere_is_asked_for_with_the_command(hub_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        find_model("Maker/Other-VL")
    for words in (f"{tmp_path}/Maker/Other-VL", str(hub_cache), "hf download Maker/Other-VL --local-dir Other-VL"):
        assert words in str(error.value)


@pytest.mark.parametrize("spec", ["/nowhere/model", "./model", "model", "a/b/c"])
def test_a_folder_that_is_missing_is_not_looked_up_on_the_hub(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"hf download Qwen/Qwen2\.5-VL-7B-Instruct") as error:
        find_model(spec)
    assert "cache" not in str(error.value)


def test_a_file_is_no_model(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(InputError, match="a file, not a folder"):
        find_model(str(file))


def test_small_files_are_all_but_the_weights(model):
    (model / "chat_template.jinja").write_text("{{ messages }}")
    (model / "README.md").write_text("# Tiny-VL")
    expected = ["chat_template.jinja", "config.json", INDEX, "preprocessor_config.json", "tokenizer.json"]
    assert [path.name for path in small_files(model)] == expected
