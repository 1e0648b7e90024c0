"""What a model is asked about a result, and how its answer is read."""

from __future__ import annotations

import re
from typing import Literal

Answer = Literal["yes", "no", "unclear"]

VERSION = "1"  # raised whenever the same frames and the same model could give another judgement
MAX_NEW_TOKENS = 48  # yes or no, a dozen words, and what a model may put around them

SYSTEM_PROMPT = """\
You inspect videos from which something was removed and whose hole was painted over.
You see the same part of one frame twice: the first image is from before, the second one from after. A thin magenta \
line marks the hole in both; it is a marker and belongs to neither. Judge only what can be seen inside this line in \
the second image.
Begin your answer with "yes" or "no". Then say in at most 12 words what you see there."""
REMAINDER_QUESTION = """\
In the first image, what was to be removed is inside the magenta line. In the second image, is a remainder of it \
visible inside the line: a part of it, a ghost, or a blurred trace of its shape?"""
NEW_OBJECT_QUESTION = """\
In the second image, has anything new been added inside the magenta line that does not belong there: an object, \
person, animal, text or strange shape? Plain background that was hidden before, such as ground, wall, sky or plants, \
and things that continue from outside the line do not count."""
STRICTER = """\
{question}
Your previous answer began with neither yes nor no. Answer with one single word: yes or no."""

# All that decides an answer besides model and pictures, for the cache key.
FIXED_TEXTS = (SYSTEM_PROMPT, REMAINDER_QUESTION, NEW_OBJECT_QUESTION, STRICTER)

_ANY = re.IGNORECASE | re.DOTALL
_UNSPOKEN = re.compile(r"<think>.*?(?:</think>|$)|.*</think>|<[^<>\n]{0,60}>|\\boxed\b", _ANY)
_MARKS = re.compile(r"[^a-z:.!?\n]+")  # quotes, brackets, markdown, digits
_CHOICE = r"(yes|no)\b(?! (?:doubt|question|idea|or|and|matter)\b)"
_AT_START = re.compile(rf"^[\s:.!?]*(?:[a-z ]{{1,40}}:\s*)?(?:the |my |final )*(?:answer (?:is )?)?{_CHOICE}")
_AT_END = re.compile(rf"(?:[:.!?\n]|\banswer is) ?{_CHOICE}[\s:.!?]*$")


def read_answer(text: str) -> Answer:
    """ "yes" or "no" if the answer begins with it (a label such as "Answer:" apart) or ends on it alone.

    Anything else is "unclear": "there is no doubt" and "yes or no" are neither.
    """
    plain = _MARKS.sub(" ", _UNSPOKEN.sub(" ", text).lower().replace("/", " or ")).strip()
    found = _AT_START.search(plain) or _AT_END.search(plain)
    if found is None:
        return "unclear"
    return "yes" if found[1] == "yes" else "no"
