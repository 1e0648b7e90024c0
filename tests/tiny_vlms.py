"""Tiny vision-language models in the published layout: what a model's folder holds, in about a megabyte.

`says` gives a model that answers with exactly this sentence, whatever it is shown: its last layer leads from each piece
of the sentence to the next. `answers` gives it others where a conversation holds a phrase: one head of its attention
listens for those phrases. Without `says`, random weights see the picture and choose the words of a description.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from hashed_weights import normal
from safetensors.torch import load_file, save_file
from tiny_vlm_layouts import HEAD_WIDTH, LAYOUTS, WIDTH, Family, write_layout
from tiny_vlm_tokenizer import as_bytes
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoModelForImageTextToText

Tensors = dict[str, torch.Tensor]
# Places in what a token is inside the model. The first tell what was heard or seen, the others which token it is.
CONSTANT = 0  # 1 in all text, 0 in pictures
SENSED = slice(1, HEAD_WIDTH)
TOKEN = slice(HEAD_WIDTH, None)
STEADY = HEAD_WIDTH // 2 - 1  # the place in a head that rotary positions turn least
NEXT, HEARD, SEEN = 10.0, 2.5, 5.0  # how much a piece leads to the next one, and what was sensed to one of several
UNHEARD = 0.9  # of NEXT, in sentences whose phrase must have been heard
_SIGHT = ("merger", "projector", "connector")  # between the eye and the language model
# What a model with random weights answers: one of each.
SCENERY = (
    ("A sunlit", "A shaded", "A quiet", "An open", "A narrow", "A wide", "A misty", "An old"),
    (" park", " street", " garden", " hallway", " courtyard", " beach", " valley", " harbor"),
    (" with wet", " with dry", " with smooth", " with rough", " with dark", " with pale", " with brown", " with red"),
    (" grass", " gravel", " stone", " sand", " asphalt", " planks", " soil", " tiles"),
    (" beside trees", " beside walls", " beside hedges", " beside fences", " beside rocks", " beside water"),
    (", distant hills", ", tall houses", ", low bushes", ", bare branches", ", thick ivy", ", bright windows"),
    (" and warm light", " and cool light", " and soft shadows", " and a clear sky", " and a cloudy sky", " and haze"),
)


def write_tiny_vlm(
    folder: Path,
    family: Family = "qwen2_5_vl",
    *,
    says: str | None = None,
    answers: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Path:
    """Write the model's folder; the same bytes each time. Returns `folder`.

    Args:
        says: what it always answers; None: random weights, for which another picture gives another text.
        answers: what it answers instead, by a phrase in the conversation (system prompt included), such as "Name the
            main object"; no conversation may hold two of the phrases.
        seed: of all weights; models of different seeds that say the same differ in their bytes.

    Raises:
        ValueError: answers that it cannot tell apart, or too many, or without `says`.
    """
    if answers and says is None:
        raise ValueError("a model with `answers` also needs what it `says` where none of their phrases comes")
    answers = answers or {}
    start_text = LAYOUTS[family].last_of_prompt
    sentences = _cut([says, *answers.values()], start_text) if says is not None else SCENERY
    folder.mkdir(parents=True)
    tokens = write_layout(folder, family, (piece for pieces in sentences for piece in pieces), answers)
    tensors = {name: _filled(name, tuple(tensor.shape), seed) for name, tensor in _published(folder).items()}
    start, end = tokens[as_bytes(start_text)], tokens[LAYOUTS[family].end]
    numbers = [[tokens[as_bytes(piece)] for piece in pieces] for pieces in sentences]
    _prepare(tensors)
    if says is None:
        _describe(tensors, start, numbers, end, seed)
    else:
        _listen(tensors, [tokens[phrase] for phrase in answers])
        _speak(tensors, start, numbers, end)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, folder / "model.safetensors", {"format": "pt"})
    return folder


def _cut(sentences: Sequence[str], start: str) -> list[list[str]]:
    """Each sentence in pieces of a word or more, so that no piece comes twice: each then knows what follows it."""
    known = {start}
    return [_pieces(sentence, known) for sentence in sentences]


def _pieces(sentence: str, known: set[str]) -> list[str]:
    pieces, piece = [], ""
    for word in re.findall(r" *[^ ]+| +$", sentence):
        piece += word
        if piece not in known:
            known.add(piece)
            pieces.append(piece)
            piece = ""
    while piece:  # the rest of the sentence was said before: it belongs to what stands before it
        if not pieces:
            raise ValueError(
                f"{sentence!r} begins another sentence or comes twice; a tiny model cannot tell them apart"
            )
        piece = pieces.pop() + piece
        if piece not in known:
            known.add(piece)
            pieces.append(piece)
            piece = ""
    return pieces


def _published(folder: Path) -> Tensors:
    """Names and shapes of the checkpoint's tensors, as transformers itself would publish them."""
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        return load_file(Path(place, "model.safetensors"))


def _filled(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    if "norm" in name or ".ln_q" in name:
        return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
    values = torch.from_numpy(normal(name, shape, seed)).float()
    if "embed_tokens" in name:
        return values
    return values / max(1, values[0].numel()) ** 0.5


def _language(tensors: Tensors) -> Tensors:
    """The language model's tensors by the ends of their names, which families share: "layers.0.mlp.up_proj.weight"."""
    sight = ("visual", "vision", *_SIGHT)
    return {
        name.rpartition("model.")[2]: tensor
        for name, tensor in tensors.items()
        if not any(part in name for part in sight)
    }


def _prepare(tensors: Tensors) -> None:
    """Nothing leads anywhere yet; of what mixes tokens, one head passes on as it is what they sense."""
    language = _language(tensors)
    for name, tensor in language.items():
        if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")) or ".0.self_attn." in name:
            tensor.fill_(1 if "norm" in name else 0)
    language["embed_tokens.weight"][:, SENSED] = 0
    language["embed_tokens.weight"][:, CONSTANT] = 1
    language["layers.0.self_attn.q_proj.weight"][STEADY, CONSTANT] = 4.0
    if "layers.0.self_attn.q_norm.weight" in language:
        language["layers.0.self_attn.q_norm.weight"].fill_(8.0)
    places = list(range(SENSED.start, SENSED.stop))
    language["layers.0.self_attn.v_proj.weight"][places, places] = 1
    language["layers.0.self_attn.o_proj.weight"][places, places] = 1


def _listen(tensors: Tensors, phrases: Sequence[int]) -> None:
    """Wherever a phrase stood, all later tokens know which it was; pictures are not seen at all."""
    if len(phrases) > SENSED.stop - SENSED.start:
        raise ValueError(f"found {len(phrases)} answers; expected at most {SENSED.stop - SENSED.start}")
    language = _language(tensors)
    embedding = language["embed_tokens.weight"]
    for place, phrase in enumerate(phrases, SENSED.start):
        embedding[phrase, TOKEN] = 0
        embedding[phrase, place] = 8.0
    language["layers.0.self_attn.k_proj.weight"][STEADY, SENSED] = 4.0
    for name, tensor in tensors.items():
        if any(part in name for part in _SIGHT) and "norm" not in name:
            tensor.zero_()


def _speak(tensors: Tensors, start: int, sentences: Sequence[Sequence[int]], end: int) -> None:
    """Each piece leads to the next, and the start to the sentence that what was heard chooses, else to the first."""
    language = _language(tensors)
    embedding, head = language["embed_tokens.weight"], language["lm_head.weight"]
    lasts = [pieces[-1] for pieces in sentences if pieces]
    if lasts:  # the same follows on all of them, and it is not what follows on the start
        first, last = normalize(embedding[start, TOKEN], dim=0), embedding[lasts[0], TOKEN]
        embedding[lasts, TOKEN] = last - first * (first @ last)
    leads_on = normalize(embedding[:, TOKEN], dim=1) * NEXT
    head[end, TOKEN] = leads_on[lasts[0]] if lasts else 0
    for which, pieces in enumerate(sentences):
        strength = UNHEARD if which else 1
        for piece, following in zip([start, *pieces], pieces or [end], strict=False):
            head[following, TOKEN] += leads_on[piece] * strength
            if which:
                head[following, SENSED.start + which - 1] = HEARD


def _describe(tensors: Tensors, start: int, slots: Sequence[Iterable[int]], end: int, seed: int) -> None:
    """Any word of a slot leads to all words of the next; among those what is seen chooses."""
    for name, tensor in tensors.items():
        if any(part in name for part in ("visual", "vision", *_SIGHT)) and name.endswith("bias"):
            tensor.zero_()  # else pictures would hardly matter beside it
        if any(part in name for part in _SIGHT) and tensor.ndim == 2 and len(tensor) == WIDTH:
            tensor[CONSTANT] = 0
    language = _language(tensors)
    language["layers.0.self_attn.k_proj.weight"][STEADY, CONSTANT] = -16.0  # not at text,
    language["layers.0.self_attn.k_proj.weight"][STEADY, TOKEN.start] = 4.0  # and at some parts of a picture more
    embedding, head = language["embed_tokens.weight"], language["lm_head.weight"]
    taste = torch.from_numpy(normal("taste", (len(head), SENSED.stop - SENSED.start), seed)).float()
    before = embedding[start, TOKEN].clone()
    for slot in map(list, slots):
        head[slot, TOKEN] = normalize(before, dim=0) * NEXT
        head[slot, SENSED] = normalize(taste[slot], dim=1) * SEEN
        before = embedding[slot[0], TOKEN].clone()
        embedding[slot, TOKEN] = before
    head[end, TOKEN] = normalize(before, dim=0) * NEXT
