"""A vision-language model as captioner: what it is asked, when it is asked again, and which answer is taken.

Every sentence is cleaned (`words/sentence.py`). One that broke a rule is asked for once more, more strictly; if that
does not help, what the clean-up left is used, and if that is too little, a neutral sentence, marked as a fallback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from lib.captioner.backend import Caption, CaptionerOptions, CaptionPicture
from lib.captioner.words.prompts import (
    OBJECT_SYSTEM_PROMPT,
    OBJECT_USER_PROMPT,
    PROBLEMS,
    STRICTER_USER_PROMPT,
    SUMMARY_SYSTEM_PROMPT,
    SUMMARY_USER_PROMPT,
    USER_PROMPT,
)
from lib.captioner.words.sentence import Sentence, clean_object_phrase, clean_sentence
from lib.errors import InputError

if TYPE_CHECKING:
    import numpy as np


VERSION = "1"  # of the policy here and of the clean-up: raised whenever the same answers give another caption
NEUTRAL_SENTENCE = "A plain background in neutral light"
MERGES = ("longest", "summary")
OBJECT_TOKENS = 24  # four words and what a model may put before them
_FUNCTION_WORDS = frozenset(
    {"a", "an", "the", "and", "or", "with", "of", "in", "on", "at", "by", "to", "for", "from", "near", "under", "over"}
)


class ModelAnswer(Protocol):
    """What the policy needs of `lib.captioner.model.chat_model.Answer`."""

    @property
    def text(self) -> str: ...

    @property
    def max_pixels(self) -> int: ...


class AskedModel(Protocol):
    """What the policy needs of `lib.captioner.model.chat_model.ChatModel`."""

    name: str

    def ask(self, system: str, user: str, pictures: Sequence[np.ndarray], max_new_tokens: int = 96) -> ModelAnswer: ...

    def facts(self) -> dict[str, str]: ...


class VlmCaptioner:
    """Captions by a vision-language model that stays loaded."""

    def __init__(self, options: CaptionerOptions, model: AskedModel | None = None) -> None:
        """Load the model that the options name, unless one is given.

        Raises:
            InputError: an unknown merge, or the model cannot be loaded.
        """
        if options.multi_sample_merge not in MERGES:
            raise InputError(f"found multi_sample_merge={options.multi_sample_merge!r}; expected one of: {MERGES}")
        self._options = options
        self._model = model or _load_model(options)
        self.name = self._model.name

    def facts(self) -> dict[str, str]:
        """The captioner's name and version, and how its model runs."""
        return {"name": self.name, "version": VERSION, **self._model.facts()}

    def answer(self, system: str, question: str, pictures: Sequence[np.ndarray], max_new_tokens: int) -> str:
        """The model's answer to any question about pictures, (H, W, 3) uint8 RGB, as it gives it."""
        return self._model.ask(system, question, pictures, max_new_tokens=max_new_tokens).text

    def describe(self, pictures: Sequence[CaptionPicture], object_picture: np.ndarray | None = None) -> Caption:
        """One sentence over all pictures; each is asked about, then one sentence is chosen or all are merged.

        Flags: those of the sentence taken (`sentence.FLAGS`), "no_visible_pixels" (the model was not
        asked), "small_picture" (memory ran out, smaller pictures were shown), "object_unnamed".
        """
        conversation = _Conversation(self._model, self._options)
        chosen = _scene_sentence(conversation, pictures)
        phrase = "" if object_picture is None else _object_phrase(conversation, object_picture)
        shown_smaller = ("small_picture",) if conversation.shown_smaller else ()
        unnamed = ("object_unnamed",) if object_picture is not None and not phrase else ()
        return Caption(
            text=chosen.text if chosen.usable else NEUTRAL_SENTENCE,
            source="auto_masked" if chosen.usable else "fallback",
            model=self.name,
            flags=(*chosen.flags, *shown_smaller, *unnamed),
            object_phrase=phrase,
            raw=tuple(conversation.answers),
        )


class _Conversation:
    """Questions about one video, every answer kept."""

    def __init__(self, model: AskedModel, options: CaptionerOptions) -> None:
        self.options = options
        self.answers: list[str] = []
        self.shown_smaller = False
        self._model = model

    def ask(self, system: str, user: str, pictures: Sequence[np.ndarray], max_new_tokens: int = 96) -> str:
        answer = self._model.ask(system, user, pictures, max_new_tokens=max_new_tokens)
        self.answers.append(answer.text)
        self.shown_smaller |= bool(pictures) and answer.max_pixels < self.options.max_pixels
        return answer.text


def descriptiveness(sentence: Sentence) -> tuple[bool, int]:
    """The larger, the better: unflagged first, then the number of different content words."""
    words = {word.strip(",;:'").lower() for word in sentence.text.split()}
    return not sentence.flags, len(words - _FUNCTION_WORDS)


def _load_model(options: CaptionerOptions) -> AskedModel:
    from lib.captioner.model.chat_model import ChatModel  # imports torch and transformers

    return ChatModel(options)


def _scene_sentence(conversation: _Conversation, pictures: Sequence[CaptionPicture]) -> Sentence:
    sentences = [_one_sentence(conversation, picture) for picture in pictures if not picture.hole.all()]
    return _merged(conversation, sentences) if sentences else Sentence("", ("no_visible_pixels",))


def _one_sentence(conversation: _Conversation, picture: CaptionPicture) -> Sentence:
    """The answer to the plain question; if that broke a rule, the better of it and the answer to the stricter one."""
    system = conversation.options.system_prompt
    first = clean_sentence(conversation.ask(system, USER_PROMPT, [picture.pixels]))
    if not first.flags:
        return first
    problems = " and ".join(PROBLEMS[flag] for flag in first.flags)
    stricter = STRICTER_USER_PROMPT.format(problems=problems)
    second = clean_sentence(conversation.ask(system, stricter, [picture.pixels]))
    return max(first, second, key=lambda sentence: (sentence.usable, -len(sentence.flags)))


def _merged(conversation: _Conversation, sentences: Sequence[Sentence]) -> Sentence:
    best = max(sentences, key=lambda sentence: (sentence.usable, *descriptiveness(sentence)))  # the first of equals
    usable = [sentence for sentence in sentences if sentence.usable]
    # Where some frames were described without a fault, only these go into the summary.
    told = [sentence for sentence in usable if not sentence.flags] or usable
    texts = list(dict.fromkeys(sentence.text for sentence in told))
    if conversation.options.multi_sample_merge != "summary" or len(texts) < 2:
        return best
    question = SUMMARY_USER_PROMPT.format(sentences="\n".join(f"- {text}" for text in texts))
    summary = clean_sentence(conversation.ask(SUMMARY_SYSTEM_PROMPT, question, []))
    return best if summary.flags else Sentence(summary.text, best.flags)


def _object_phrase(conversation: _Conversation, picture: np.ndarray) -> str:
    if picture.size == 0:
        return ""
    answer = conversation.ask(OBJECT_SYSTEM_PROMPT, OBJECT_USER_PROMPT, [picture], max_new_tokens=OBJECT_TOKENS)
    return clean_object_phrase(answer)
