import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from vlm_support import VLM_SENTENCE, change_json, options, stripes

from lib.captioner.model.chat_model import ChatModel
from lib.captioner.model.loading import choose_device, load_model
from lib.captioner.model.precision import choose_attention, choose_dtype
from lib.captioner.words.prompts import SYSTEM_PROMPT, USER_PROMPT
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def test_quantised_weights_need_a_gpu(damaged_vlm):
    change_json(damaged_vlm / "config.json", quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(InputError, match=r"Tiny-VL: its weights are quantised, which needs a GPU"):
        ChatModel(options(damaged_vlm))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_type_of_numbers_is_as_asked(tiny_vlm, dtype):
    model = ChatModel(options(tiny_vlm(), dtype=dtype, attention="eager"))
    assert (model.facts()["dtype"], model.facts()["attention"]) == (dtype, "eager")
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()]).text == VLM_SENTENCE


@pytest.mark.parametrize(
    ("device", "capability", "wanted", "chosen"),
    [
        ("cpu", None, "auto", "float32"),
        ("cpu", None, "bfloat16", "bfloat16"),
        ("cuda", (7, 5), "auto", "float16"),
        ("cuda", (8, 0), "auto", "bfloat16"),
        ("cuda", (12, 0), "auto", "bfloat16"),
        ("cuda", (7, 0), "float32", "float32"),
    ],
)
def test_choice_of_numbers(device, capability, wanted, chosen):
    assert choose_dtype(device, capability, wanted) == chosen


def test_unknown_choices_are_told():
    with pytest.raises(InputError, match=r"'int4'; expected one of: auto, bfloat16"):
        choose_dtype("cpu", None, "int4")
    with pytest.raises(InputError, match=r"'fast'; expected one of: auto, sdpa"):
        choose_attention("fast")
    with pytest.raises(InputError, match=r"'tpu'; expected auto, cuda or cpu"):
        choose_device("tpu")


def test_a_gpu_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(InputError, match=r"finds no GPU; choose cpu or auto"):
        choose_device("cuda")


def test_flash_attention_needs_a_gpu_and_half_the_bits(tiny_vlm):
    with pytest.raises(InputError, match=r"flash_attention_2 runs on a GPU in bfloat16 or float16; found the device"):
        load_model(tiny_vlm(), "cpu", "bfloat16", "flash_attention_2")


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def with_a_smaller_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:7].contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_a_tensor, r"the weights lack 1 tensors \(lm_head.weight\); fetch the model again"),
        (with_a_smaller_tensor, "the model cannot be loaded"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "its processor cannot be loaded"),
        (
            lambda folder: (folder / "preprocessor_config.json").write_text('{"image_processor_type": "Own"}'),
            "its processor cannot be loaded",
        ),
        (lambda folder: change_json(folder / "config.json", model_type="qwen9_vl"), "cannot read config.json"),
        (lambda folder: change_json(folder / "config.json", model_type="bert"), "takes pictures and text"),
    ],
)
def test_damaged_models_are_told_with_their_folder(damaged_vlm, damage, said):
    damage(damaged_vlm)
    with pytest.raises(InputError, match=rf"Tiny-VL: .*{said}"):
        ChatModel(options(damaged_vlm))


def test_code_that_a_model_brings_is_never_run(damaged_vlm):
    change_json(
        damaged_vlm / "config.json", model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    )
    (damaged_vlm / "own.py").write_text(f"open({str(damaged_vlm / 'was_run')!r}, 'w')\nclass Config: ...\n")
    with pytest.raises(InputError, match=r"Tiny-VL: .*models that bring their own code are not run: take a variant"):
        ChatModel(options(damaged_vlm))
    assert not (damaged_vlm / "was_run").exists()


def test_a_torchvision_that_does_not_fit_torch_does_not_matter(tiny_vlm, tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('no operator torchvision::nms')")
    facts = tmp_path / "torchvision-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1.0\n")
    script = (
        "import numpy as np; from lib.captioner.backend import CaptionerOptions;"
        "from lib.captioner.model.chat_model import ChatModel;"
        f"model = ChatModel(CaptionerOptions(backend='vlm', model_path={str(tiny_vlm())!r}, device='cpu'));"
        "print(model.ask('Rules.', 'Question?', [np.zeros((60, 80, 3), np.uint8)]).text)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == (VLM_SENTENCE, 0), done.stderr


def test_memory_that_does_not_hold_the_weights_is_told(tiny_vlm, monkeypatch):
    import transformers

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(transformers, "AutoModelForImageTextToText", SimpleNamespace(from_pretrained=full))
    with pytest.raises(InputError, match=r"out of memory while loading .*Tiny-qwen2_5_vl; take a smaller model"):
        ChatModel(options(tiny_vlm()))


def test_a_package_that_is_missing_is_told(tiny_vlm, monkeypatch):
    import transformers

    def lacking(*_, **__):
        raise ImportError("Loading an AWQ quantized model requires gptqmodel. Please install it with `pip install …`")

    monkeypatch.setattr(transformers, "AutoModelForImageTextToText", SimpleNamespace(from_pretrained=lacking))
    with pytest.raises(InputError, match=r"Tiny-qwen2_5_vl: a package .* is missing: .* requires gptqmodel"):
        ChatModel(options(tiny_vlm()))
