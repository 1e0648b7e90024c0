"""The text encoder."""

import torch
from eraser_goldens import Golden, each_golden
from hashed_weights import fill
from transformers import CLIPTextConfig, CLIPTextModel

from lib.diffueraser.text import TextEncoder

PREFIX = "text_model."  # of the published keys


class GivenTokens:
    """A tokenizer that knows the tokens of a few texts."""

    def __init__(self, tokens):
        self.tokens = tokens

    def __call__(self, text, **_options):
        return {"input_ids": self.tokens[text]}


@each_golden("clip_text")
def test_last_hidden_states(golden_path):
    golden = Golden(golden_path)
    model = CLIPTextModel(CLIPTextConfig(**golden.meta["config"]))
    prefix = "" if any(key.startswith(PREFIX) for key in model.state_dict()) else PREFIX
    assert {prefix + key for key in model.state_dict() if "position_ids" not in key} == set(golden.meta["keys"])
    fill(model, golden.meta["weight_seed"], prefix)
    tokens = {f"text {row}": ids.tolist() for row, ids in enumerate(golden.array("ids"))}
    encoder = TextEncoder(GivenTokens(tokens), model)
    golden.check_all({"out": torch.cat([encoder.encode(text) for text in tokens])})
