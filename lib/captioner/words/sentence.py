"""Turns what a vision-language model answered into one prompt sentence about the background, or a short object phrase.

The rules (the seed's 2.2.6): one English sentence, at most 30 words, background only. What breaks them is cut away
where something useful is left, and flagged in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lib.captioner.words.background import background_only
from lib.captioner.words.language import english_part, is_refusal
from lib.captioner.words.raw_answer import candidate_sentences, without_lead_ins

MAX_WORDS = 30
MIN_WORDS = 3  # of a sentence that can serve as a prompt
MAX_OBJECT_WORDS = 6
FLAGS = ("mask", "living", "long", "short", "not_english", "refusal")
_KEPT_AT_LEAST = 12  # words before the comma where a long sentence is cut
_READ_WORDS = 150  # of a sentence; the rest is a model that loops
_ROUNDS = 6  # cleaning what was cleaned changes nothing after one or two

_DANGLING = re.compile(
    r"(?:^|[\s,;:–—-]+)(?:and|or|but|with|of|the|a|an|in|on|at|by|to|for|from|near|under|over|behind|beside|between|along|across"
    r"|through|against|around|as|that|which|while|where|is|are|its|their|featuring|including|surrounded|visible|within)$",
    re.IGNORECASE,
)
_EDGES = " .,;:!?-–—'\"*#_|~=<>()[]{}\\/+&"
_OBJECT_LEAD = re.compile(
    r"^(?:(?:the|this)\s+)?(?:main|central|primary|highlighted|visible|foreground|removed)?\s*(?:object|subject|item|thing|focus)"
    r"(?:\s+(?:in|of)\s+(?:the|this)\s+\w+)?(?:\s+(?:is|appears to be|seems to be)\s+|\s*:\s*)",
    re.IGNORECASE,
)
_OBJECT_END = re.compile(
    r"\s*[,;:(/|]|\s+(?:in|on|at|near|from|by|behind|under|over|against|along|across|through|beside|inside|within|that|which|who"
    r"|is|are|for)\s+|\.\s",
    re.IGNORECASE,
)
_OBJECT_TAIL = re.compile(
    r"\s+(?:with|(?:wear|walk|stand|sitt?|rid|runn?|look|mov|lean|hold|driv|jump|swimm)ing)\s+.*$"
)
_ARTICLE = re.compile(r"^(?:an?|the|some|one|this|that|single)\s+", re.IGNORECASE)
_NO_OBJECT = re.compile(
    r"\b(?:unknown|unclear|unidentifi\w+|nothing|none|no|not|cannot|can't|undefined|region|mask|masked|silhouette|background"
    r"|image|picture|photo|main|unspecified|sorry|unable|sure)\b|^(?:objects?|things?|items?|subjects?|scene|n/?a)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """A cleaned sentence (maybe empty) and what was wrong with the answer it comes from."""

    text: str  # capital letter first, no full stop, one line, at most MAX_WORDS words
    flags: tuple[str, ...]  # of FLAGS, in that order

    @property
    def usable(self) -> bool:
        """Whether it says enough to serve as a prompt."""
        return len(self.text.split()) >= MIN_WORDS


def clean_sentence(raw: str) -> Sentence:
    """The answer's first sentence about the background; cleaning the result again changes nothing.

    Flags: "mask" and "living" (a clause about the hole, about people or animals was cut), "long" (more than MAX_WORDS
    words, cut), "short" (fewer than MIN_WORDS left), "not_english", "refusal".
    """
    text, flags = _cleaned_once(raw)
    for _ in range(_ROUNDS):
        again, more = _cleaned_once(text)
        if again == text:
            break
        text, flags = again, flags | more
    if len(text.split()) < MIN_WORDS:
        flags |= {"short"}
    return Sentence(text, tuple(flag for flag in FLAGS if flag in flags))


def clean_object_phrase(raw: str) -> str:
    """The object in at most MAX_OBJECT_WORDS words, lower case, no article; "" if the answer names none."""
    candidates = candidate_sentences(raw)
    if not candidates or is_refusal(candidates[0]):
        return ""
    text = _OBJECT_LEAD.sub("", candidates[0])
    text = _ARTICLE.sub("", _OBJECT_END.split(without_lead_ins(text))[0].strip(_EDGES))
    if len(text.split()) > 4:
        text = _OBJECT_TAIL.sub("", text)
    text, foreign = english_part(text.strip(_EDGES).lower())
    words = text.split()
    is_name = 0 < len(words) <= MAX_OBJECT_WORDS and any(letter.isalpha() for letter in text)
    return "" if foreign or not is_name or _NO_OBJECT.search(text) else " ".join(words)


def _cleaned_once(raw: str) -> tuple[str, frozenset[str]]:
    """The first sentence that serves, else the longest there is; flags of all up to it."""
    best, flags = "", frozenset()
    for candidate in candidate_sentences(raw):
        text, found = _cleaned_candidate(candidate)
        flags |= found
        if len(text.split()) > len(best.split()):
            best = text
        if len(text.split()) >= MIN_WORDS:
            break
    return best, flags


def _cleaned_candidate(sentence: str) -> tuple[str, frozenset[str]]:
    if is_refusal(sentence):
        return "", frozenset({"refusal"})
    text, foreign = english_part(" ".join(sentence.split()[:_READ_WORDS]))
    text, flags = background_only(text)
    text = _without_repeats(_tidy(without_lead_ins(text)))
    is_long = len(text.split()) > MAX_WORDS
    if is_long:
        text = _tidy(_cut(text))
    flags |= {flag for flag, found in (("long", is_long), ("not_english", foreign)) if found}
    return text[:1].upper() + text[1:] if len(text[:1].upper()) == 1 else text, flags


def _cut(text: str) -> str:
    """At most MAX_WORDS words, ending at a comma, else before a joining word, where enough is left."""
    kept = " ".join(text.split()[:MAX_WORDS])
    for joint in (r"[,;:]\s|\s[-–—]+\s", r"\s(?:and|with|while|where|that|as|in|on|at|under|into|towards?)\s"):
        ends = [found.start() for found in re.finditer(joint, kept)]
        ends = [end for end in ends if len(kept[:end].split()) >= _KEPT_AT_LEAST]
        if ends:
            return kept[: ends[-1]]
    return kept


def _without_repeats(text: str) -> str:
    """A model that loops says the same words or the same clause again and again: once is enough."""
    text = re.sub(r"\b(\w+)(?:\s+\1\b)+", r"\1", text, flags=re.IGNORECASE)
    kept = ""
    for joint, clause in re.findall(r"(^|,\s|;\s)((?:(?!,\s|;\s).)+)", text):
        said = re.sub(r"^(?:and|with)\s", "", clause.strip().lower())
        if not re.search(rf"(?<!\w){re.escape(said)}(?!\w)", kept.lower()):
            kept += joint + clause
    return kept


def _tidy(text: str) -> str:
    """Blanks, punctuation and joining words where something was cut away."""
    before = None
    while before != text:
        before = text
        text = re.sub(r"\s+([,;:.])", r"\1", " ".join(text.split()))
        text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)
        text = _DANGLING.sub("", text.strip(_EDGES)).strip(_EDGES)
        text = re.sub(r"^(?:and|but|or|while|then|also|as well as)[\s,]+", "", text, flags=re.IGNORECASE)
    return text
