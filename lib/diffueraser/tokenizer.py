"""CLIP's tokenizer, from its published files."""

from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from lib.diffueraser.weight_files import TEXT_MARKS, TOKENIZER_FILES
from lib.errors import InputError

# Words, single digits, what else is no space; English endings apart.
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Words to numbers: lower case, byte pairs, a mark at each end."""

    def __init__(self, folder: Path) -> None:
        """folder: holds vocab.json and merges.txt.

        Raises:
            InputError: they are not there, or not CLIP's.
        """
        vocabulary, merges = (str(folder / name) for name in TOKENIZER_FILES)
        try:
            pairs = BPE.from_file(vocabulary, merges, unk_token=TEXT_MARKS[1], end_of_word_suffix="</w>")
        except Exception as error:  # the library knows no other class
            raise InputError(f"{folder}: {' and '.join(TOKENIZER_FILES)} do not fit each other ({error})") from error
        self._tokenizer = Tokenizer(pairs)
        self._tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        self._tokenizer.add_special_tokens(list(TEXT_MARKS))
        ids = self._tokenizer.get_vocab()
        self._start, self._end = (ids[mark] for mark in TEXT_MARKS)

    def padded(self, text: str, length: int) -> list[int]:
        """`length` numbers: the start mark, what fits of the text, end marks."""
        ids = self._tokenizer.encode(text).ids[: length - 2]
        return [self._start, *ids, *[self._end] * (length - 1 - len(ids))]

    def overflow(self, text: str, length: int) -> str | None:
        """What does not fit into `length` numbers, in a sentence; None if all does."""
        encoded, room = self._tokenizer.encode(text), length - 2  # a mark at each end
        if len(encoded.ids) <= room:
            return None
        lost = text[encoded.offsets[room][0] :].strip()
        return f"the text has {len(encoded.ids)} tokens and only the first {room} are read; cut off: {lost!r}"
