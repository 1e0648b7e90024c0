"""Encoding words."""

from dataclasses import asdict

import pytest
import torch
from diffueraser_weights import TEXT_CONFIG, TEXT_WIDTH, weight_paths
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lib.diffueraser.checkpoints import load_text_encoder
from lib.diffueraser.text_config import TextConfig
from lib.diffueraser.text_model import TextModel
from lib.diffueraser.tokenizer import ClipTokenizer
from lib.errors import InputError

TEXTS = (
    "",
    "a wall",
    "  The WALL\n on the\tleft, it's Bob's; they'll 've 2026 1/2 stones!!! ",
    "Ümlaut e\u0301 é ﬁ İ ß Straße 山の上 🏔️ \u200b\u00a0x",
    "<|startoftext|> in the <|endoftext|>wall",
    '(((wall:1.3))) [the|a] --n_prompt "x" \'twas @#$%^&*_+',
)


@pytest.fixture
def encoder(eraser_weights):
    return load_text_encoder(weight_paths(eraser_weights), "cpu", torch.float32)


@pytest.fixture(scope="module")
def tokenizer_folder(eraser_weights):
    return eraser_weights / "stable-diffusion-v1-5" / "tokenizer"


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
    torch.testing.assert_close(encoded[:, 0], encoder.encode("")[:, 0])


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


@pytest.mark.parametrize("text", [*TEXTS, "the wall on a hill " * 30], ids=range(len(TEXTS) + 1))
def test_tokens_are_those_of_transformers(tokenizer_folder, text):
    theirs = CLIPTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    expected = theirs(text, padding="max_length", max_length=77, truncation=True)["input_ids"]
    assert ClipTokenizer(tokenizer_folder).padded(text, 77) == expected


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_the_model_computes_what_transformers_does(activation):
    theirs = CLIPTextModel(CLIPTextConfig(**{**TEXT_CONFIG, "hidden_act": activation})).eval()
    ours = TextModel(TextConfig.from_published({**TEXT_CONFIG, "hidden_act": activation})).eval()
    ours.load_state_dict({name.removeprefix("text_model."): value for name, value in theirs.state_dict().items()})
    ids = torch.randint(0, TEXT_CONFIG["vocab_size"], (2, 77), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(ids), theirs(input_ids=ids).last_hidden_state, atol=1e-5, rtol=0)


def test_defaults_are_the_published_sizes():
    published = {"vocab_size": 49408, "hidden_size": 768, "num_hidden_layers": 12, "projection_dim": 768, "dropout": 0}
    assert TextConfig.from_published(published) == TextConfig()
    assert asdict(TextConfig())["hidden_act"] == "quick_gelu"


def test_vocabulary_and_merges_that_do_not_fit(tmp_path, tokenizer_folder):
    (tmp_path / "vocab.json").write_bytes((tokenizer_folder / "vocab.json").read_bytes())
    (tmp_path / "merges.txt").write_text("#version: 0.2\nno such\n")
    with pytest.raises(InputError, match="do not fit each other"):
        ClipTokenizer(tmp_path)
