"""Is it English, as far as letters and the commonest words tell; and is it a refusal?"""

from __future__ import annotations

import re
import unicodedata

_ENGLISH_WORDS = "the a an and with of under near by at is are in on"
# Spanish, French, German, Italian, Portuguese, Dutch, Swedish, Polish; what is English too ("on", "in") is left out.
_OTHER_WORDS = (
    "el la las una con del por y der die das und mit ein eine einen auf ist im den dem le les des une avec et dans du "
    "est sur gli che nel della di uno um uma com da na em het een van en met och med ett pod z de un il"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_OTHERS = frozenset(_OTHER_WORDS.split())
_REFUSAL = re.compile(
    r"^(?:(?:i'?m|i am)\s+(?:(?:very|so|really)\s+)?(?:sorry|unable|not able|afraid|an ai)"
    r"|sorry\b|apologies|i apologi[sz]e|unfortunately\b"
    r"|(?:i|we)\s+(?:can'?t|cannot|can not|couldn'?t|could not|don'?t|do not|won'?t|am not|need)\b"
    r"|as an? (?:ai|language|large)\b|please\s+(?:provide|upload|share|send|attach|note)\b"
    r"|(?:the\s+)?(?:no|not enough|insufficient)\s+(?:\w+\s+)?"
    r"(?:image|picture|background|scene|information|details?|content)\b"
    r"|(?:it\s+is|it's)\s+(?:difficult|hard|impossible|not possible)\b"
    r"|(?:difficult|hard|impossible|not possible)\s+to\s+(?:say|tell|determine|describe|identify|discern|see)\b"
    r"|unable\s+to\b|n/?a$|none$|(?:the\s+)?(?:\w+\s+){0,3}(?:cannot|can'?t|could not)\s+be\s+"
    r"(?:determined|described|identified|seen))",
    re.IGNORECASE,
)


def is_refusal(sentence: str) -> bool:
    """Whether the sentence says that it will not or cannot describe."""
    return bool(_REFUSAL.match(sentence))


def english_part(sentence: str) -> tuple[str, bool]:
    """The sentence's English, "" if there is none, and whether anything else was in it."""
    letters = [letter for letter in sentence if letter.isalpha()]
    foreign = [letter for letter in letters if not _is_latin(letter)]
    if foreign:
        if 2 * len(foreign) >= len(letters):
            return "", True
        kept = "".join(" " if letter.isalpha() and not _is_latin(letter) else letter for letter in sentence)
        return " ".join(kept.split()), True
    words = re.findall(r"[^\W\d_]+", sentence.lower())
    others = [word for word in words if word in _OTHERS]
    if len(others) >= 2 and len(others) > sum(word in _ENGLISH for word in words):
        return "", True
    return sentence, False


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN")
