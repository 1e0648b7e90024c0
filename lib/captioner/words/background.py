"""Keeps of a sentence what speaks of the background; clauses about the hole, people and animals go.

A sentence is a row of pieces (commas, "while"), a piece a row of parts ("with", "in front of", "and"). A part that
speaks of the wrong thing goes together with what hangs on it; what remains is joined again. Scenery that only sounds
alive ("bear statue", "zebra crossing", "Lion Street") and gray things that are no hole ("gray carpeted floor") stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PEOPLE = (
    "person people human individual man men woman women child children kid boy girl baby babies toddler infant "
    "teenager adult lady ladies guy gentleman gentlemen bride groom couple(?!\\sof) pedestrian passerby passersby "
    "bystander onlooker spectator audience crowd(?!ed) tourist visitor shopper customer commuter worker farmer "
    "fisherman soldier policeman athlete player golfer wrestler gymnast acrobat dancer performer musician "
    "fishermen policemen judge referee coach student vendor rider horseman driver cyclist biker motorcyclist "
    "runner jogger hiker climber skier snowboarder skateboarder skater surfer swimmer figure someone somebody he "
    "she him his her himself herself wearing"
)
_ANIMALS = (
    "animal creature wildlife pet livestock herd flock dog puppy puppies cat kitten horse pony ponies donkey mule "
    "cow cattle bull calf calves sheep lamb goat pig chicken hen rooster duck goose geese swan bird pigeon "
    "seagull parrot penguin flamingo ostrich peacock eagle owl hawk stork heron camel llama alpaca elephant lion "
    "tiger leopard cheetah zebra giraffe monkey gorilla ape chimpanzee bear panda wolf wolves fox deer elk moose "
    "rabbit squirrel rat fish shark dolphin whale turtle tortoise snake lizard frog butterfly butterflies bee "
    "insect rhino rhinoceros hippo hippopotamus buffalo bison kangaroo koala"
)
_ALIVE = rf"\b(?:{'|'.join((_PEOPLE + ' ' + _ANIMALS).split())})(?:s|es)?(?:'s?)?"
_LIVING_WORD = rf"{_ALIVE}(?![\w-])"
_FOREGROUND = r"foreground (?:object|subject|figure|element)s?|(?:main|central) (?:subject|object|focus)\b"
_LIVING = re.compile(rf"{_LIVING_WORD}|{_FOREGROUND}", re.IGNORECASE)

_PLACES = (
    "statues? sculptures? figurines? signs? signage fountains? carvings? murals? posters? paintings? logos? "
    "emblems? motifs? topiar(?:y|ies) toys? decorations? patterns? graffiti street road avenue lane square court "
    "bridge river creek island bay hill rock mountain valley parks? crosswalks? paths? pathways? walkways? "
    "trails? zones? plaza mall tracks? enclosures? exhibits? habitats? pens? cages? shelters? stables? barns? "
    "paddocks? arena corral pastures? fences? fencing gates? trough houses? baths? feeders? nests? coops? wire "
    "ponds? tanks? markets? bowl bed grid guard lil(?:y|ies) grass cent(?:er|re)s? restrooms? toilets? "
    "playgrounds? areas? section seating benches store shop clothing racks? signals? lights? stalls? rug hutch "
    "huts? bedroom barriers? ladder food"
)
_ARTWORK = (
    "statue sculpture mural painting picture photo carving bust poster portrait relief sign drawing logo figurine"
)
_MATERIALS = (
    "stone bronze wooden marble carved painted stuffed toy teddy ceramic plastic metal concrete inflatable "
    "cartoon wrought-iron iron golden plush"
)
_ALIKE = re.compile(
    rf"{_LIVING_WORD}[ -](?:(?:play|clothing|crossing|warning|street|riding|jumping|racing|training|viewing)\s)?"
    rf"(?:{'|'.join(_PLACES.split())})\b"
    r"|\b(?:pedestrian|zebra|horse|duck|deer|cattle|children's) crossings?\b|\bbird'?s[- ]eye\b"
    rf"|\b(?:{'|'.join(_ARTWORK.split())})s?\s(?:of|with|depicting|showing|featuring)\s(?:\w+\s){{0,3}}?{_LIVING_WORD}"
    rf"|\b(?:{'|'.join(_MATERIALS.split())})\s{_LIVING_WORD}"
    r"|\bmonkey bars|\b(?:carpet|table) runners?|\bbaby blue|\bfigure[- ]eight|\bcoat of\b"
    r"|\bsilhouette[sd]?\s(?:of\s)?(?:\w+\s){0,2}?(?:trees?|palms?|mountains?|hills?|buildings?|skyline|towers?|branches|city)"
    r"|\b(?:trees?|palms?|mountains?|hills?|buildings?|skyline|city)\ssilhouettes?"
    r"|\bgr[ae]y\s(?:\w+\s){0,2}?(?:area\srugs?|(?:square|block|box|spot|patch|shape)\s"
    r"(?:tiles?|walls?|stones?|pavers?|paving|planters?|hedges?|lights?|trucks?))"
    r"|\bmasking\b",
    re.IGNORECASE,
)
_HOLE_NOUN = (
    "region area background blob shape patch square rectangle block box void cutout cut-out figure object "
    "silhouette space overlay section spot outline mask placeholder circle oval form blur smudge polygon"
)
_HOLE_LOOK = (
    "large small big huge central blank solid uniform rectangular square irregular irregularly shaped plain "
    "featureless blurred blurry flat masked empty dark darker light lighter human person dog bear animal car "
    "vehicle bird horse circular oval round smooth opaque missing silhouetted vague unclear obscured "
    "unidentifiable and out"
)
_MASK = re.compile(
    rf"\bgr[ae]y(?:ed|ish)?(?:[- ]out)?,?\s+(?:(?:{'|'.join(_HOLE_LOOK.split())}|[\w-]+-shaped),?\s+){{0,3}}"
    rf"(?:{'|'.join(_HOLE_NOUN.split())})s?\b(?![-'])"
    r"|\bgr[ae]yed\b|\bmask(?:s|ed)?\b|\bsilhouette[sd]?\b|\bplaceholders?\b|\binpaint\w*|\bpixelated\b|\bredacted\b"
    r"|\b(?:removed|missing|obscured|erased|hidden|censored|blacked-out|blanked|unidentifiable|blank|cut-?out)[- ]"
    r"(?:\w+\s)?(?:objects?|areas?|regions?|parts?|sections?|space|spots?|shapes?|subjects?|figures?)\b"
    r"|\b(?:obscured|blocked|covered|hidden|occluded|obstructed)\sby\s(?:\w+\s){0,2}?gr[ae]y\b"
    r"|\b(?:solid|uniform|plain|blank)\sgr[ae]y\s(?:background|colou?r|image|screen|canvas)\b"
    r"|\b(?:completely|entirely|uniformly)\sgr[ae]y$|\b(?:has|have|had|was|were)\s(?:been\s)?(?:removed|erased|masked)\b|\bthe\s(?:\w+\s)?objects?\b",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"(?:,?\s+(?:and\s+|but\s+)?(?:with\s+|there (?:is|are)\s+)?)?"
    r"\b(?:no|without any|without|devoid of any|devoid of|free of)"
    rf"\s+(?:(?!{_LIVING_WORD})\w+\s+){{0,2}}?(?:{_LIVING_WORD}|(?:foreground\s+)?objects?\b)"
    rf"(?:,?\s+(?:or|nor)\s+(?:other\s+)?\w+|,\s+{_LIVING_WORD}|,?\s+and\s+{_LIVING_WORD})*"
    r"(?:\s+(?:is\s+|are\s+)?(?:visible|present|in sight|in view|around|nearby))?",
    re.IGNORECASE,
)

_PIECE_JOINT = re.compile(r"\s*[,;:]\s+|\s+[-–—]+\s+|\s*—\s*|,?\s+(?:while|whereas|but)\s+", re.IGNORECASE)
_PARTICIPLES = (
    "covered obscured blocked occupied dominated hidden occluded obstructed filled crowded populated surrounded lined "
    "dotted interrupted marked used followed framed bordered"
)
_PREPOSITIONS = (
    "with|in|on|at|near|next to|beside|behind|under|underneath|beneath|below|above|over|across|through|along|alongside"
    "|among|amid|amidst|between|by|against|around|inside|within|from|into|onto|towards?|down|up|past|beyond|for|upon|atop"
)
_PART_JOINT = re.compile(
    r"\s+(?:and|or|as well as)\s+"
    rf"|\s+(?:(?:which|that)\s+)?(?:(?:is|are)\s+)?(?:partially\s|partly\s|mostly\s|largely\s)?"
    rf"(?:{'|'.join(_PARTICIPLES.split())})\s+(?:by|with)\s+"
    rf"|\s+(?:in front of|out of|except for|on top of|full of|leading to|such as|{_PREPOSITIONS})\s+"
    r"|\s+(?:where|that|which|who|as|set against|set in|featuring|including"
    r"|surrounding|overlooking|showing|containing|facing)\s+",
    re.IGNORECASE,
)
_ENUMERATING = re.compile(r"\s*(?:and|or|as well as|featuring|including)\s*", re.IGNORECASE)
_COMPANION = re.compile(
    r"\b(?:shirt|t-shirt|jacket|dress|hat|cap|jeans|trousers|pants|shorts|sweater|hoodie|coat|suit|helmet|backpack|outfit|"
    r"sunglasses|sneakers|clothes|clothing|skirt|boots|jersey|hair|leash|saddle|arm|hand|bicycle|bike"
    r"|motorcycle|motorbike|skateboard|surfboard|snowboard|scooter|ball|bag|phone|umbrella|camera|stick|action)(?:s|es)?\b"
    r"|\b(?:obscuring|blocking|covering|hiding|concealing|occluding|indicating|suggesting|representing|obscured|removed)\b",
    re.IGNORECASE,
)
_POSITION_END = r"(?:cent(?:er|re)|middle|foreground|left|right|top|bottom|front|corner|side|part|portion)"
_POSITION = re.compile(
    rf"^the\s(?:\w+\s)?(?:{_POSITION_END}(?:\s(?:side|part|portion|corner))?|image|picture|frame|scene|view|background"
    r"|distance|sun|shade|air)"
    r"(?:\sof\s(?:the|this)\s(?:image|picture|frame|scene|view))?$",
    re.IGNORECASE,
)
_PLACE_OF = re.compile(rf"^(?:the|an?)\s(?:very\s)?{_POSITION_END}\s(?:side\s)?of\s(?=(?:an?|the)\s)", re.IGNORECASE)
_SKY = re.compile(r"\b(?:sky|skies|light|lighting|sunlight)$", re.IGNORECASE)  # is the whole scene's
_LONE_VERB = re.compile(r"^(?:\w+ing|stands?|sits?|walks?|runs?|looks?)(?:\s\w+ly)?$", re.IGNORECASE)


@dataclass(frozen=True)
class _Span:
    """A stretch of the sentence and what joins it to the one before."""

    joint: str
    text: str
    blanked: str  # the text with scenery that only sounds alive blotted out


def background_only(sentence: str) -> tuple[str, frozenset[str]]:
    """The sentence without clauses about the hole or living things.

    Returns:
        What is left, and "mask" and "living" where such clauses went. "No people in sight" goes without a flag: a model
        that paints would read the people only.
    """
    sentence = _ABSENT.sub("", sentence)
    blanked = _ALIKE.sub(lambda found: "_" * len(found[0]), sentence)
    # A comma inside "a gray, car-shaped silhouette" is no place to cut.
    blanked = _MASK.sub(lambda found: found[0].replace(",", " "), blanked)
    flags = {name for name, pattern in (("mask", _MASK), ("living", _LIVING)) if pattern.search(blanked)}
    if not flags:
        return sentence, frozenset()
    return _without_wrong_pieces(_Span("", sentence, blanked)), frozenset(flags)


def _without_wrong_pieces(whole: _Span) -> str:
    kept, dropped = "", False
    for piece in _spans(whole, _PIECE_JOINT):
        text, dropped = _without_wrong_parts(piece, dropped, at_start=not kept)
        if text:
            # "while a bird sits on a branch" leaves "a branch", which no longer happens while anything.
            joint = piece.joint if piece.text.split()[:2] == text.split()[:2] else ", "
            kept += (joint if kept else "") + text
    return _PLACE_OF.sub("", kept)


def _spans(whole: _Span, joint: re.Pattern[str]) -> list[_Span]:
    """Cut at every joint; joints inside blotted scenery do not count."""
    cuts = [(found.start(), found.end()) for found in joint.finditer(whole.blanked)]
    starts = [(0, 0), *cuts]
    ends = [start for start, _ in cuts] + [len(whole.text)]
    return [
        _Span(whole.text[left:right], whole.text[right:end], whole.blanked[right:end])
        for (left, right), end in zip(starts, ends, strict=True)
    ]


def _without_wrong_parts(piece: _Span, dropped: bool, at_start: bool) -> tuple[str, bool]:
    """What a piece says of the background, and whether its last part went.

    Args:
        dropped: the part before the piece went.
        at_start: nothing of the sentence is kept so far.
    """
    kept, dropped_here = "", False
    # The blank in front lets a joint at the very start be found.
    for part in _spans(_Span("", f" {piece.text}", f" {piece.blanked}"), _PART_JOINT):
        if not part.text.strip():
            continue
        if _is_wrong(part) or (dropped and _hangs_on_dropped(part, bool(kept))):
            dropped = dropped_here = True
            continue
        kept += _rejoined(part, kept, dropped and (dropped_here or at_start))
        dropped = dropped_here = False
    return kept.strip(), dropped


def _is_wrong(part: _Span) -> bool:
    said = part.joint + part.blanked
    return bool(_MASK.search(said) or _LIVING.search(part.blanked))


def _hangs_on_dropped(part: _Span, after_kept: bool) -> bool:
    text = part.text.strip()
    if _COMPANION.search(part.joint + text) or _POSITION.match(text) or _LONE_VERB.match(text):
        return True
    if _SKY.search(text):
        return False
    return after_kept and not _ENUMERATING.fullmatch(part.joint)


def _rejoined(part: _Span, kept: str, dropped_before: bool) -> str:
    """A part as it goes on; where parts before it went, its joint would hang in the air."""
    if dropped_before and not kept:
        return _PLACE_OF.sub("", part.text.strip())
    if dropped_before and part.joint.strip().lower() in {"and", "or", "as well as"}:
        return f" with {part.text}"
    return part.joint + part.text
