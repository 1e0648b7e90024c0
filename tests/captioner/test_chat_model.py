import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_vlms import write_tiny_vlm

from lib.captioner.backend import MAX_PIXELS, CaptionerOptions
from lib.captioner.chat_format import ChatFormat, shrunk
from lib.captioner.chat_model import SMALLEST_PICTURE, ChatModel
from lib.captioner.model_loading import choose_device, load_model, ran_out_of_memory
from lib.captioner.precision import choose_attention, choose_dtype
from lib.captioner.processors import load_processor
from lib.captioner.prompts import SYSTEM_PROMPT, USER_PROMPT
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SENTENCE = "A quiet stone courtyard under soft light"
FAMILIES = ("qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm")


def stripes(height: int = 96, width: int = 128, every: int = 8) -> np.ndarray:
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[::every] = (200, 220, 90)
    return picture


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Callable[[str, bool], Path]:
    """The folder of a tiny model by its family and whether it says the sentence; each is made once."""
    made: dict[tuple[str, bool], Path] = {}

    def folder(family: str = "qwen2_5_vl", speaks: bool = True) -> Path:
        if (family, speaks) not in made:
            place = tmp_path_factory.mktemp("models") / f"Tiny-{family}"
            made[family, speaks] = write_tiny_vlm(place, family, says=SENTENCE if speaks else None, seed=3)
        return made[family, speaks]

    return folder


@pytest.fixture
def copied(folders, tmp_path) -> Path:
    """A speaking model of the first family, to be damaged."""
    return Path(shutil.copytree(folders(), tmp_path / "Tiny-VL"))


def options(folder: Path, **values) -> CaptionerOptions:
    return CaptionerOptions(backend="vlm", model_path=str(folder), device="cpu", **values)


def change_json(path: Path, **values) -> None:
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.mark.parametrize("family", FAMILIES)
def test_says_its_sentence_in_every_family(folders, family):
    model = ChatModel(options(folders(family)))
    for pictures in ([stripes()], [stripes(), stripes(40, 300)], []):
        assert model.ask(SYSTEM_PROMPT, USER_PROMPT, pictures).text == SENTENCE
    assert model.name == f"Tiny-{family}"
    assert model.facts() | {"model_type": family, "device": "cpu", "dtype": "float32", "attention": "sdpa"} == (
        model.facts()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_another_picture_another_answer_and_the_order_does_not_matter(folders, family):
    model = ChatModel(options(folders(family, False)))
    pictures = [stripes(every=every) for every in (2, 9, 31)]
    answers = [model.ask(SYSTEM_PROMPT, USER_PROMPT, [picture], 24).text for picture in pictures]
    assert len(set(answers)) > 1
    again = [model.ask(SYSTEM_PROMPT, USER_PROMPT, [picture], 24).text for picture in reversed(pictures)]
    assert again[::-1] == answers


def test_answers_end_at_the_number_of_tokens_asked_for(folders):
    model = ChatModel(options(folders()))
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()], 3).text == "A quiet stone"


@pytest.mark.parametrize("shape", [(16, 16), (1, 900), (900, 1), (1080, 1920), (57, 56)])
@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_of_every_shape(folders, family, shape):
    model = ChatModel(options(folders(family), max_pixels=100_000))
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(*shape)]).text == SENTENCE


@pytest.mark.parametrize(
    ("size", "max_pixels", "expected"),
    [
        ((640, 480), 1_000_000, (640, 480)),
        ((640, 480), 640 * 480, (640, 480)),
        ((1920, 1080), 1920 * 1080 // 4, (960, 540)),
        ((16, 16), 1_000_000, (56, 56)),
        ((4000, 10), 1_000_000, (4000, 56)),
        ((20_000, 10), 1_000_000, (20_000, 200)),
    ],
)
def test_shrunk(size, max_pixels, expected):
    assert shrunk(np.zeros((size[1], size[0], 3), np.uint8), max_pixels).size == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_pixels_are_fewer_tokens(folders, family):
    chat = ChatFormat(load_processor(folders(family)))
    picture = stripes(500, 1500)
    counts = [
        chat.inputs("rules", "question", [shrunk(picture, pixels)], pixels)["input_ids"].shape[1]
        for pixels in (1_000_000, 4_000)
    ]
    assert counts[1] < counts[0]


@pytest.mark.parametrize(
    ("max_pixels", "edge"), [(MAX_PIXELS, 1024), (MAX_PIXELS // 2, 512), (1000, 512), (10**9, 2048)]
)
def test_tiles_are_as_many_as_the_pixels_allow(max_pixels, edge):
    asked = {}

    class Processor:
        image_processor = SimpleNamespace(max_image_size={"longest_edge": 512}, size={"longest_edge": 2048})
        chat_template = ""
        tokenizer = SimpleNamespace(apply_chat_template=lambda turns, **_: str(turns))

        def __call__(self, **given):
            asked.update(given)

    ChatFormat(Processor()).inputs("rules", "question", [Image.new("RGB", (640, 480))], max_pixels)
    assert asked["size"] == {"longest_edge": edge}


def model_with_memory_for(folder: Path, pixels: int, problem: Exception) -> tuple[ChatModel, list[int]]:
    """A model that has no room for more pixels than that; and the pixels that it was shown each time."""
    model, seen = ChatModel(options(folder, max_pixels=120_000)), []
    generate = model._loaded.model.generate

    def limited(**given):
        rows, columns = given["image_grid_thw"][0, 1:].tolist()
        seen.append(rows * columns * 14 * 14)
        if seen[-1] > pixels:
            raise problem
        return generate(**given)

    model._loaded.model.generate = limited
    return model, seen


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_where_memory_runs_out_smaller_pictures_are_shown(folders, problem):
    model, seen = model_with_memory_for(folders(), 40_000, problem)
    answer = model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(480, 640)])
    assert answer.text == SENTENCE
    assert 28_000 < answer.max_pixels < 32_000
    assert [round(pixels / 120_000, 2) for pixels in seen] == pytest.approx([1, 0.5, 0.25], abs=0.06)
    model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(480, 640)])
    assert len(seen) == 6  # the next question begins at the full size again


def test_small_pictures_are_halved_from_their_own_size(folders):
    model, seen = model_with_memory_for(folders(), 30_000, torch.OutOfMemoryError("CUDA out of memory"))
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(224, 224)]).max_pixels == 224 * 224 // 2
    assert len(seen) == 2


def test_memory_for_nothing_is_an_error_with_numbers(folders):
    model, seen = model_with_memory_for(folders(), 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(InputError, match=r"out of memory while answering .* \d+x\d+ pixels; take a smaller model"):
        model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(480, 640)])
    assert min(seen) < 2.5 * SMALLEST_PICTURE


def test_other_failures_are_not_taken_for_full_memory(folders):
    model, seen = model_with_memory_for(folders(), 0, RuntimeError("device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()])
    assert len(seen) == 1
    assert not ran_out_of_memory(ValueError("out of memory"))


REFUSING = "{{ raise_exception('System role not supported') }}"
DROPPING = ""


@pytest.mark.parametrize("instead", [REFUSING, DROPPING])
def test_a_model_without_a_system_turn_gets_the_rules_in_front_of_the_question(copied, instead):
    path = copied / "tokenizer_config.json"
    template = json.loads(path.read_text())["chat_template"]
    whole = f"{{% if messages[0]['role'] == 'system' %}}{instead}{{% else %}}{template}{{% endif %}}"
    change_json(path, chat_template=whole)
    chat = ChatFormat(load_processor(copied))
    told = chat.decoded(chat.inputs("The rules.", "The question?", [Image.fromarray(stripes())], 9**9)["input_ids"][0])
    assert "user\nThe rules.\n\nThe question?\nassistant" in told
    assert told.count("The rules.") == 1
    assert ChatModel(options(copied)).ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()]).text == SENTENCE


def test_a_model_with_a_system_turn_gets_the_rules_there_and_only_there(folders):
    chat = ChatFormat(load_processor(folders()))
    told = chat.decoded(chat.inputs("The rules.", "The question?", [], 9**9)["input_ids"][0])
    assert told == "system\nThe rules.\nuser\nThe question?\nassistant\n"


@pytest.mark.parametrize("template", [REFUSING, DROPPING, "{{ messages[0]['content'] + 'text' }}"])
def test_a_template_that_takes_no_question_is_told(copied, template):
    change_json(copied / "tokenizer_config.json", chat_template=template or " ")
    with pytest.raises(InputError, match="chat template takes no question about a picture"):
        ChatModel(options(copied)).ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()])


def test_the_template_may_lie_in_a_file_of_its_own(copied):
    path = copied / "tokenizer_config.json"
    template = json.loads(path.read_text())["chat_template"]
    change_json(path, chat_template=None)
    with pytest.raises(InputError, match=r"Tiny-VL: found no chat template; expected an instruction-tuned"):
        load_processor(copied)
    (copied / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert load_processor(copied).chat_template == template
    (copied / "chat_template.json").unlink()
    (copied / "chat_template.jinja").write_text(template)
    assert load_processor(copied).chat_template == template


@pytest.mark.parametrize(("padding", "taken"), [(0, 0), (7, 7), (None, 2)])
def test_a_tokenizer_without_padding_pads_with_its_end(padding, taken):
    tokenizer = SimpleNamespace(pad_token_id=padding, eos_token_id=2)
    assert ChatFormat(SimpleNamespace(tokenizer=tokenizer)).padding == taken


def test_pictures_are_prepared_by_pillow(folders):
    for family in FAMILIES:
        processor = load_processor(folders(family))
        assert ChatFormat(processor).image_processor.endswith("Pil")
        assert processor.video_processor is None


def test_quantised_weights_need_a_gpu(copied):
    change_json(copied / "config.json", quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(InputError, match=r"Tiny-VL: its weights are quantised, which needs a GPU"):
        ChatModel(options(copied))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_type_of_numbers_is_as_asked(folders, dtype):
    model = ChatModel(options(folders(), dtype=dtype, attention="eager"))
    assert (model.facts()["dtype"], model.facts()["attention"]) == (dtype, "eager")
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()]).text == SENTENCE


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


def test_flash_attention_needs_a_gpu_and_half_the_bits(folders):
    with pytest.raises(InputError, match=r"flash_attention_2 runs on a GPU in bfloat16 or float16; found the device"):
        load_model(folders(), "cpu", "bfloat16", "flash_attention_2")


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
def test_damaged_models_are_told_with_their_folder(copied, damage, said):
    damage(copied)
    with pytest.raises(InputError, match=rf"Tiny-VL: .*{said}"):
        ChatModel(options(copied))


def test_code_that_a_model_brings_is_never_run(copied):
    change_json(
        copied / "config.json", model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    )
    (copied / "own.py").write_text(f"open({str(copied / 'was_run')!r}, 'w')\nclass Config: ...\n")
    with pytest.raises(InputError, match=r"Tiny-VL: .*models that bring their own code are not run: take a variant"):
        ChatModel(options(copied))
    assert not (copied / "was_run").exists()


def test_neither_the_network_nor_the_terminal_is_used(folders, monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model = ChatModel(options(folders("qwen2_5_vl", False)))
    model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()])
    assert capfd.readouterr() == ("", "")


def test_a_torchvision_that_does_not_fit_torch_does_not_matter(folders, tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('no operator torchvision::nms')")
    facts = tmp_path / "torchvision-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1.0\n")
    script = (
        "import numpy as np; from lib.captioner.backend import CaptionerOptions;"
        "from lib.captioner.chat_model import ChatModel;"
        f"model = ChatModel(CaptionerOptions(backend='vlm', model_path={str(folders())!r}, device='cpu'));"
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
    assert (done.stdout.strip(), done.returncode) == (SENTENCE, 0), done.stderr


def test_memory_that_does_not_hold_the_weights_is_told(folders, monkeypatch):
    import transformers

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(transformers, "AutoModelForImageTextToText", SimpleNamespace(from_pretrained=full))
    with pytest.raises(InputError, match=r"out of memory while loading .*Tiny-qwen2_5_vl; take a smaller model"):
        ChatModel(options(folders()))


def test_a_package_that_is_missing_is_told(folders, monkeypatch):
    import transformers

    def lacking(*_, **__):
        raise ImportError("Loading an AWQ quantized model requires gptqmodel. Please install it with `pip install …`")

    monkeypatch.setattr(transformers, "AutoModelForImageTextToText", SimpleNamespace(from_pretrained=lacking))
    with pytest.raises(InputError, match=r"Tiny-qwen2_5_vl: a package .* is missing: .* requires gptqmodel"):
        ChatModel(options(folders()))
