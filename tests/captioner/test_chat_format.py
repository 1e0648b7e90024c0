import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from vlm_support import VLM_FAMILIES, VLM_SENTENCE, change_json, options, stripes

from lib.captioner.backend import MAX_PIXELS
from lib.captioner.model.chat_format import ChatFormat, shrunk
from lib.captioner.model.chat_model import ChatModel
from lib.captioner.model.processors import load_processor
from lib.captioner.words.prompts import SYSTEM_PROMPT, USER_PROMPT
from lib.errors import InputError

REFUSING = "{{ raise_exception('System role not supported') }}"
DROPPING = ""


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


@pytest.mark.parametrize("family", VLM_FAMILIES)
def test_fewer_pixels_are_fewer_tokens(tiny_vlm, family):
    chat = ChatFormat(load_processor(tiny_vlm(family)))
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


@pytest.mark.parametrize("instead", [REFUSING, DROPPING])
def test_a_model_without_a_system_turn_gets_the_rules_in_front_of_the_question(damaged_vlm, instead):
    path = damaged_vlm / "tokenizer_config.json"
    template = json.loads(path.read_text())["chat_template"]
    whole = f"{{% if messages[0]['role'] == 'system' %}}{instead}{{% else %}}{template}{{% endif %}}"
    change_json(path, chat_template=whole)
    chat = ChatFormat(load_processor(damaged_vlm))
    told = chat.decoded(chat.inputs("The rules.", "The question?", [Image.fromarray(stripes())], 9**9)["input_ids"][0])
    assert "user\nThe rules.\n\nThe question?\nassistant" in told
    assert told.count("The rules.") == 1
    assert ChatModel(options(damaged_vlm)).ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()]).text == VLM_SENTENCE


def test_a_model_with_a_system_turn_gets_the_rules_there_and_only_there(tiny_vlm):
    chat = ChatFormat(load_processor(tiny_vlm()))
    told = chat.decoded(chat.inputs("The rules.", "The question?", [], 9**9)["input_ids"][0])
    assert told == "system\nThe rules.\nuser\nThe question?\nassistant\n"


@pytest.mark.parametrize("template", [REFUSING, DROPPING, "{{ messages[0]['content'] + 'text' }}"])
def test_a_template_that_takes_no_question_is_told(damaged_vlm, template):
    change_json(damaged_vlm / "tokenizer_config.json", chat_template=template or " ")
    with pytest.raises(InputError, match="chat template takes no question about a picture"):
        ChatModel(options(damaged_vlm)).ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()])


def test_the_template_may_lie_in_a_file_of_its_own(damaged_vlm):
    path = damaged_vlm / "tokenizer_config.json"
    template = json.loads(path.read_text())["chat_template"]
    change_json(path, chat_template=None)
    with pytest.raises(InputError, match=r"Tiny-VL: found no chat template; expected an instruction-tuned"):
        load_processor(damaged_vlm)
    (damaged_vlm / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert load_processor(damaged_vlm).chat_template == template
    (damaged_vlm / "chat_template.json").unlink()
    (damaged_vlm / "chat_template.jinja").write_text(template)
    assert load_processor(damaged_vlm).chat_template == template


@pytest.mark.parametrize(("padding", "taken"), [(0, 0), (7, 7), (None, 2)])
def test_a_tokenizer_without_padding_pads_with_its_end(padding, taken):
    tokenizer = SimpleNamespace(pad_token_id=padding, eos_token_id=2)
    assert ChatFormat(SimpleNamespace(tokenizer=tokenizer)).padding == taken


def test_pictures_are_prepared_by_pillow(tiny_vlm):
    for family in VLM_FAMILIES:
        processor = load_processor(tiny_vlm(family))
        assert ChatFormat(processor).image_processor.endswith("Pil")
        assert processor.video_processor is None
