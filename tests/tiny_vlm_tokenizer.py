"""A byte-level BPE tokenizer by code, whose only longer tokens are those that it is given."""

from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel


def as_bytes(text: str) -> str:
    """The text in the letters of byte-level BPE: a space is "Ġ"."""
    return "".join(piece for piece, _ in ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text))


def words_and_merges(tokens: Iterable[str]) -> tuple[dict[str, int], list[list[str]]]:
    """Bytes and tokens with their numbers, and the merges that lead to each single word."""
    known, merges = dict.fromkeys(sorted(ByteLevel.alphabet())), []
    for token in map(as_bytes, tokens):
        several = "Ġ" in token[1:]  # never met in a text, which is cut into words first
        for end in range(len(token) if several else 2, len(token) + 1):
            if token[:end] not in known:
                known[token[:end]] = None
                merges += [] if several else [[token[: end - 1], token[end - 1]]]
    return {token: number for number, token in enumerate(known)}, merges


def tokenizer_file(
    words: Mapping[str, int], merges: list[list[str]], special: Mapping[str, int], heard: Mapping[str, int]
) -> dict[str, Any]:
    """The content of tokenizer.json; `heard` phrases are one token each wherever they stand."""
    added = [
        {"id": number, "content": token, "special": token in special, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for token, number in {**special, **heard}.items()
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    parts = {"added_tokens": added, "normalizer": None, "pre_tokenizer": byte_level, "decoder": byte_level}
    model = {"type": "BPE", "vocab": words, "merges": merges, "byte_fallback": False}
    return {"version": "1.0", **parts, "post_processor": None, "model": model}
