"""The text encoder."""

import torch
from eraser_goldens import Golden, each_golden
from hashed_weights import fill

from lib.diffueraser.text import TextEncoder
from lib.diffueraser.text_config import TextConfig
from lib.diffueraser.text_model import TextModel

PREFIX = "text_model."  # of the published keys


class GivenTokens:
    """A tokenizer that knows the tokens of a few texts."""

    def __init__(self, tokens):
        self.tokens = tokens

    def padded(self, text, _length):
        return self.tokens[text]

    def overflow(self, _text, _length):
        return None


@each_golden("clip_text")
def test_last_hidden_states(golden_path):
    golden = Golden(golden_path)
    model = TextModel(TextConfig.from_published(golden.meta["config"]))
    assert {PREFIX + key for key in model.state_dict()} == set(golden.meta["keys"])
    fill(model, golden.meta["weight_seed"], PREFIX)
    tokens = {f"text {row}": ids.tolist() for row, ids in enumerate(golden.array("ids"))}
    encoder = TextEncoder(GivenTokens(tokens), model)
    golden.check_all({"out": torch.cat([encoder.encode(text) for text in tokens])})
