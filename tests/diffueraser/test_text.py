"""Encoding words."""

import socket

import pytest
import torch
from diffueraser_weights import TEXT_WIDTH, weight_paths

from lib.diffueraser.checkpoints import load_text_encoder


@pytest.fixture
def encoder(eraser_weights):
    return load_text_encoder(weight_paths(eraser_weights), "cpu", torch.float32)


def count_passes(encoder):
    passes = []
    encoder._model.register_forward_pre_hook(lambda *_args: passes.append(1))
    return passes


def test_each_distinct_text_is_encoded_once(encoder):
    passes = count_passes(encoder)
    first = encoder.encode("a wall")
    for text in ("a wall", "", "a wall", "", "blurry"):
        encoder.encode(text)
    assert len(passes) == 3
    assert encoder.encode("a wall") is first


def test_rows_are_as_wide_as_the_model_and_padded_to_77(encoder):
    encoded = encoder.encode("a wall")
    assert encoded.shape == (1, 77, TEXT_WIDTH)
    assert not encoded.requires_grad
    assert not torch.equal(encoded, encoder.encode(""))
    # The text model looks back only, so what precedes the first difference is the same.
    assert torch.equal(encoded[:, 0], encoder.encode("")[:, 0])


def test_case_and_spaces_do_not_count(encoder):
    assert torch.equal(encoder.encode("A  Wall"), encoder.encode("a wall"))


def test_words_that_are_cut_off_are_named(encoder):
    fitting = "the " * 75
    assert encoder.overflow(fitting) is None
    assert encoder.overflow("") is None
    said = encoder.overflow(f"{fitting}Wall with Ümlaut")
    assert said is not None
    assert "only the first 75 are read" in said
    assert said.endswith("cut off: 'Wall with Ümlaut'")
    assert torch.equal(encoder.encode(f"{fitting}wall"), encoder.encode(fitting + "hill"))


def test_nothing_is_asked_of_the_network(eraser_weights, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("no network is needed")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    load_text_encoder(weight_paths(eraser_weights), "cpu", torch.float32).encode("a wall")
