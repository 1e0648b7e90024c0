import socket
from pathlib import Path

import pytest
import torch
from vlm_support import VLM_FAMILIES, VLM_SENTENCE, options, stripes

from lib.captioner.model.chat_model import SMALLEST_PICTURE, ChatModel
from lib.captioner.model.loading import ran_out_of_memory
from lib.captioner.words.prompts import SYSTEM_PROMPT, USER_PROMPT
from lib.errors import InputError


@pytest.mark.parametrize("family", VLM_FAMILIES)
def test_says_its_sentence_in_every_family(tiny_vlm, family):
    model = ChatModel(options(tiny_vlm(family)))
    for pictures in ([stripes()], [stripes(), stripes(40, 300)], []):
        assert model.ask(SYSTEM_PROMPT, USER_PROMPT, pictures).text == VLM_SENTENCE
    assert model.name == f"Tiny-{family}"
    assert model.facts() | {"model_type": family, "device": "cpu", "dtype": "float32", "attention": "sdpa"} == (
        model.facts()
    )


@pytest.mark.parametrize("family", VLM_FAMILIES)
def test_another_picture_another_answer_and_the_order_does_not_matter(tiny_vlm, family):
    model = ChatModel(options(tiny_vlm(family, None)))
    pictures = [stripes(every=every) for every in (2, 9, 31)]
    answers = [model.ask(SYSTEM_PROMPT, USER_PROMPT, [picture], 24).text for picture in pictures]
    assert len(set(answers)) > 1
    again = [model.ask(SYSTEM_PROMPT, USER_PROMPT, [picture], 24).text for picture in reversed(pictures)]
    assert again[::-1] == answers


def test_answers_end_at_the_number_of_tokens_asked_for(tiny_vlm):
    model = ChatModel(options(tiny_vlm()))
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()], 3).text == "A quiet stone"


@pytest.mark.parametrize("shape", [(16, 16), (1, 900), (900, 1), (1080, 1920), (57, 56)])
@pytest.mark.parametrize("family", VLM_FAMILIES)
def test_pictures_of_every_shape(tiny_vlm, family, shape):
    model = ChatModel(options(tiny_vlm(family), max_pixels=100_000))
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(*shape)]).text == VLM_SENTENCE


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
def test_where_memory_runs_out_smaller_pictures_are_shown(tiny_vlm, problem):
    model, seen = model_with_memory_for(tiny_vlm(), 40_000, problem)
    answer = model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(480, 640)])
    assert answer.text == VLM_SENTENCE
    assert 28_000 < answer.max_pixels < 32_000
    assert [round(pixels / 120_000, 2) for pixels in seen] == pytest.approx([1, 0.5, 0.25], abs=0.06)
    model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(480, 640)])
    assert len(seen) == 6  # the next question begins at the full size again


def test_small_pictures_are_halved_from_their_own_size(tiny_vlm):
    model, seen = model_with_memory_for(tiny_vlm(), 30_000, torch.OutOfMemoryError("CUDA out of memory"))
    assert model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(224, 224)]).max_pixels == 224 * 224 // 2
    assert len(seen) == 2


def test_memory_for_nothing_is_an_error_with_numbers(tiny_vlm):
    model, seen = model_with_memory_for(tiny_vlm(), 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(InputError, match=r"out of memory while answering .* \d+x\d+ pixels; take a smaller model"):
        model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes(480, 640)])
    assert min(seen) < 2.5 * SMALLEST_PICTURE


def test_other_failures_are_not_taken_for_full_memory(tiny_vlm):
    model, seen = model_with_memory_for(tiny_vlm(), 0, RuntimeError("device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()])
    assert len(seen) == 1
    assert not ran_out_of_memory(ValueError("out of memory"))


def test_neither_the_network_nor_the_terminal_is_used(tiny_vlm, monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model = ChatModel(options(tiny_vlm("qwen2_5_vl", None)))
    model.ask(SYSTEM_PROMPT, USER_PROMPT, [stripes()])
    assert capfd.readouterr() == ("", "")
