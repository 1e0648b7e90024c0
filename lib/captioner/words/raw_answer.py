"""From what a model says to plain candidate sentences: special tokens, markdown, lists, labels and lead-ins go.

Nothing here judges what a sentence speaks of; `lib.captioner.words.background` does.
"""

from __future__ import annotations

import re
import unicodedata

MAX_LETTERS = 4000  # many times what a caption has; what comes after is a model that loops

_ANY = re.IGNORECASE | re.DOTALL
_LOOKALIKES = str.maketrans("‘’‚‛`´“”„«»「」『』。、！？；：\u2010\u2011", '\'\'\'\'\'\'""""""""".,!?;:--')
_END_TOKENS = re.compile(r"<\|(?:im_end|endoftext|end|eot_id|end_of_text)\|>|</s>|<end_of_utterance>|<eos>", _ANY)
_THOUGHT = re.compile(r"<think>.*?</think>", _ANY)
_BOX = re.compile(r"<(box|quad|bbox)>.*?</\1>", _ANY)
_TAG = re.compile(r"<\|[^<>]{0,60}\|>|</?[a-z][^<>\n]{0,60}>|\[/?INST\]|\\(?:boxed|text)\b", _ANY)
_ROLE = re.compile(r"^\s*assistant\s*(?::|\n)\s*", _ANY)
_JSON_TEXT = re.compile(
    r'"[^"]*(?:caption|description|sentence|scene|background|prompt|answer|text)[^"]*"\s*:\s*"((?:[^"\\]|\\.)*)"', _ANY
)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:https?:|/|\.|#)[^()\s]*\)", _ANY)
_BULLET = re.compile(r"^(?:[-*+•·▪◦–—]|\(?\d{1,2}[.)])\s+(?=\S)")
_ITEM_LABEL = re.compile(r"^([A-Z][\w/ &-]{2,30}?)\s*(?::|\s-)\s+(?=\S)")
_LOOK_WORDS = (
    "clear bright dark dim pale light soft warm cool natural artificial overcast cloudy sunny gray grey white black "
    "blue green brown red beige yellow orange calm quiet peaceful serene plain smooth rough wet dry dense lush sparse "
    "tall partly mostly slightly and wooden paved dusty rocky grassy sandy clean old modern tidy deep lively"
)
_LOOKS = frozenset(_LOOK_WORDS.split())
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok|absolutely|yes|alright|great)\b[^:.!\n]{0,100}[:.!]\s*"
    r"|(?:here(?:'s| is| are)|below (?:is|are)|based on)\b[^:.\n]{0,120}:\s*)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:the\s+)?(?:(?:final|short|concise|one-sentence|english|background|scene|image|visible|revised|output|environment)\s+)*"
    r"(?:caption|description|background|scene|setting|output|answer|response|assistant|image|summary|prompt|sentence"
    r"|translation|environment)(?:\s+\d{1,2})?"
    r"(?:\s+(?:of|for)\s+(?:the|this)\s+(?:(?:visible|background)\s+)*(?:scene|image|background|picture))?"
    r"\s*(?::|\s[-–—])\s*",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"^(?:the|a|my|one)(?:\s+[\w-]+){0,3}\s+(?:caption|description|sentence|answer)(?:\s+(?:for|of)(?:\s+\w+){1,4}?)?"
    r"\s+(?:is|would be|could be|might be)\b[:,]?\s*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?<!\bSt\.)(?<!\bMt\.)(?<!\bapprox\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<=[.!?])[\"')\]]*\s+(?=[^a-z\s])"
)

_HOLE = (
    r"(?:the|a|an|this)\s+(?:\w+\s+){0,2}?(?:gr[ae]y(?:ed)?(?:[- ]out)?|masked|blank|removed|missing)\s+"
    r"(?:\w+\s+){0,2}?(?:regions?|areas?|mask|silhouettes?|shapes?|blobs?|sections?|objects?|patch|square|rectangle"
    r"|spot|space)"
)
_PICTURE = (
    r"(?:(?:visible|main|overall|entire|whole|remaining|given|provided|masked|blurred|blurry)\s+)*"
    r"(?:image|picture|photo|photograph|frame|scene|background(?: (?:scene|setting|area))?|setting|environment"
    r"|surroundings|surrounding (?:area|environment|scene)|visible (?:areas?|portions?|parts?)|view|scenery|backdrop"
    r"|video|shot)"
)
_SHOWS = (
    r"(?:shows?|depicts?|features?|displays?|presents?|captures?|portrays?|contains?|includes?|consists? of"
    r"|comprises?|reveals?|showcases?|illustrates?|represents?|suggests?"
    r"|(?:appears?|seems?) to (?:be taken (?:in|at|on|from)|be|show|depict|feature)"
    r"|can be described as|takes place (?:in|on|at)"
    r"|(?:is|are) (?:\w+ly )?(?:composed of|made up of|dominated by|filled with|characterized by|set in|of)"
    r"|is|are|has|have)"
)
_HEDGE = r"(?:\s+(?:mainly|mostly|primarily|clearly|likely|prominently|also|predominantly))?"
_WHERE = rf"(?:\s+(?:of|in|within)\s+(?:the|this)\s+{_PICTURE})?"
_AROUND = rf"(?:surrounding|around|behind|beyond|outside(?: of)?)\s+{_HOLE}"
_THERE = r"(?:,\s*|\s+(?=(?:there|we|you|is|are)\b))"
_LEAD_INS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # In the background of the image, …
        rf"^(?:in|on|within|from|throughout)\s+(?:the|this)\s+{_PICTURE}{_WHERE}\s*{_THERE}",
        # The background scene surrounding the gray region mainly shows … (but "the scene is lit by" says something)
        rf"^(?:(?:the|this|an?)\s+)?(?:(?:outdoor\s+|indoor\s+)?{_PICTURE}{_WHERE}(?:\s+{_AROUND})?|areas?\s+{_AROUND}){_HEDGE}\s+{_SHOWS}:?\s+"
        r"(?!(?:\w+ly\s)?(?:lit|illuminated|covered|surrounded|lined|bathed|located)\b)",
        rf"^{_AROUND}\s*{_THERE}",
        # A photo of …
        rf"^an?\s+{_PICTURE}\s+(?:of|with|showing|depicting|featuring|that shows)\s+",
        # There is …
        r"^(?:(?:we|you|i|one)\s+(?:can|could)?\s*(?:see|observe|notice|find)s?"
        r"|(?:there|it|this)(?:'s|\s+is|\s+are|\s+shows|\s+depicts|\s+features|\s+(?:appears?|seems) to be)"
        r"|that\s+is)\s+",
        r"^(?:is|are)\s+(?=(?:an?|the|some|several|two|three|many)\b)",
        r"^(?:what\s+(?:appears|seems|looks)\s+(?:to be|like)"
        r"|it\s+(?:looks\s+like|seems\s+that|appears\s+that)|likely|possibly|probably|overall|specifically"
        r"|additionally|leaving|revealing|showing|depicting|featuring|visible)\b,?\s+",
        r"^based on\s[^,.:]{0,80},\s+",
        r"^that\s+(?=(?:the|there|an?)\b)",
    )
)


def candidate_sentences(raw: str) -> list[str]:
    """The answer's sentences in order, one line each, without markup, labels, lead-ins and wrapping quotes.

    Only the first MAX_LETTERS characters count.
    """
    found = []
    for paragraph in _paragraphs(_without_markup(_spoken_text(raw[:MAX_LETTERS]))):
        for sentence in _SENTENCE_END.split(_announced_text(paragraph)):
            text = without_lead_ins(_unwrapped(sentence))
            if any(letter.isalnum() for letter in text):
                found.append(text)
    return found


def without_lead_ins(sentence: str) -> str:
    """The sentence from where it starts to describe: no "The image shows", "In the background, there is"."""
    before = None
    while before != sentence:
        before = sentence
        for lead_in in _LEAD_INS:
            sentence = lead_in.sub("", sentence, count=1).lstrip(" ,:;")
    return sentence


def _spoken_text(raw: str) -> str:
    """What was meant to be read: no thoughts, special tokens, control characters, emoji or broken characters."""
    text = unicodedata.normalize("NFKC", "".join(filter(_is_readable, raw.replace("\r", "\n"))))
    text = text.translate(_LOOKALIKES) if "```" not in text else text.replace("```", "\n```").translate(_LOOKALIKES)
    text = _THOUGHT.sub(" ", text)
    text = re.split(r"</think>", text, flags=re.IGNORECASE)[-1]
    text = re.split(r"<think>", text, flags=re.IGNORECASE)[0]
    said = [part for part in _END_TOKENS.split(text) if _TAG.sub("", part).strip()]
    text = _TAG.sub("", _BOX.sub("", said[0] if said else ""))
    return _ROLE.sub("", text)


def _is_readable(letter: str) -> bool:
    return letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn", "So"}


def _without_markup(text: str) -> str:
    """Without code fences, JSON and markdown; lines and bullets stay."""
    text = re.sub(r"^\s*'''\w*[ \t]*", "\n", text, flags=re.MULTILINE)  # fences; ` has become '
    if text.strip()[:1] in {"{", "["} and (found := _JSON_TEXT.search(text)):
        text = found[1].replace('\\"', '"').replace("\\n", " ")
    text = _LINK.sub(r"\1", text)
    text = re.sub(r"^\s*>+\s*", "", text, flags=re.MULTILINE)
    return re.sub(r"\*\*|__|~~|(?<=\w)\*(?=\W|$)|(?<!\S)[*_](?=\w)|(?<=\w)_(?=\W|$)", "", text)


def _paragraphs(text: str) -> list[str]:
    """Paragraphs as single lines; a list becomes one of them, or one for each item where these are sentences."""
    blocks: list[list[str]] = [[]]
    in_list = False
    for line in map(str.strip, text.split("\n")):
        is_item = bool(_BULLET.match(line))
        if not line or line.startswith("#") or is_item != in_list:
            blocks.append([])
        if line:
            blocks[-1].append(line)
        if line.startswith("#"):
            blocks.append([])
        in_list = is_item or (in_list and bool(line))
    blocks = [block for block in blocks if block]
    if len(blocks) > 1:  # a heading is no sentence, unless it is all there is
        blocks = [block for block in blocks if not block[0].startswith("#") and not block[-1].endswith(":")] or blocks
    return [paragraph for block in blocks for paragraph in _joined(block)]


def _joined(block: list[str]) -> list[str]:
    if not _BULLET.match(block[0]):
        return [re.sub(r"^#+\s*", "", " ".join(block))]
    items: list[str] = []
    for line in block:
        if _BULLET.match(line) or not items:
            items.append(_BULLET.sub("", line))
        else:
            items[-1] += " " + line
    if len(items) == 1 or any(len(item.split()) >= 9 for item in items):
        return items
    items = [_without_item_label(item).rstrip(" .,;") for item in items]
    return [" and ".join(filter(None, (", ".join(items[:-1]), items[-1])))]


def _without_item_label(item: str) -> str:
    """ "Sky: clear blue" is "clear blue sky", "Ground: wet asphalt" is "wet asphalt"."""
    found = _ITEM_LABEL.match(item)
    text = item[found.end() :] if found else item
    if found and all(word in _LOOKS for word in text.lower().rstrip(".").split()):
        text = f"{text.rstrip('.')} {found[1].lower()}"
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _announced_text(paragraph: str) -> str:
    """The paragraph without "Sure! Here is the caption:", and of a quoted text the text."""
    before = None
    while before != paragraph:
        before = paragraph
        for pattern in (_PREAMBLE, _LABEL, _ANNOUNCED):
            paragraph = pattern.sub("", paragraph, count=1).lstrip()
    quoted = re.match(r'^"([^"]+)"', paragraph)
    return quoted[1] if quoted and len(quoted[1].split()) >= 3 else paragraph


def _unwrapped(sentence: str) -> str:
    """Without double quotes, remarks in brackets and what surrounds the sentence."""
    sentence = sentence.replace('"', "").strip().strip("'").strip()
    if wrapped := re.fullmatch(r"[(\[]([^()\[\]]*)[)\]][.!?]?", sentence):
        sentence = wrapped[1]
    sentence = re.sub(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])", "", sentence)
    sentence = re.sub(r"(?<!\w)'(?=\w)|(?<=\w)'(?!\w)(?<!s')", "", sentence)
    return " ".join(sentence.split()).strip(" .,;:!?-'\"*#_|~=<>()[]{}\\/")
