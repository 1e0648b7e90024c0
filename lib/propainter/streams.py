"""Sequences that are made block by block when they are read, and forgotten when nobody needs them any more."""

from collections.abc import Callable, Sequence

import torch

Tensors = tuple[torch.Tensor, ...]


class BlockStream:
    """Items 0..length-1 of one or more tensors that share their first axis.

    A block is made by the first read that touches it, and once only. What nobody reads is never made, and what was
    forgotten takes no memory: the length of the sequence does not matter to either.
    """

    def __init__(self, length: int, block: int, make: Callable[[int, int], Tensors]) -> None:
        """make(start, stop): the tensors of these items, each (stop - start, ...)."""
        self._length = length
        self._block = max(block, 1)
        self._make = make
        self._blocks: dict[int, Tensors] = {}
        self._made: set[int] = set()

    def read(self, start: int, stop: int) -> Tensors:
        """Items start..stop-1; not empty.

        Raises:
            IndexError: some of them do not exist.
            LookupError: some of them were forgotten.
        """
        if not 0 <= start < stop <= self._length:
            raise IndexError(f"items {start}..{stop - 1} of a sequence of {self._length}")
        parts = []
        for number in range(start // self._block, (stop - 1) // self._block + 1):
            first = number * self._block
            block = self._get(number)
            parts.append(tuple(x[max(start - first, 0) : stop - first] for x in block))
        return parts[0] if len(parts) == 1 else tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    def read_at(self, indices: Sequence[int]) -> Tensors:
        """The items of some indices, in their order; at least one."""
        items = [self.read(index, index + 1) for index in indices]
        return tuple(torch.cat(tensors) for tensors in zip(*items, strict=True))

    def forget(self, before: int) -> int:
        """Drop blocks that end at or before `before`: no such item will be read again.

        Returns:
            the first item from `before` on that is not made yet; what comes before it is needed by this stream no more.
        """
        number = max(before, 0) // self._block
        for old in [key for key in self._blocks if key < number]:
            del self._blocks[old]
        while number in self._made:
            number += 1
        return min(number * self._block, self._length)

    def _get(self, number: int) -> Tensors:
        if number not in self._made:
            start = number * self._block
            self._blocks[number] = self._make(start, min(start + self._block, self._length))
            self._made.add(number)
        if number not in self._blocks:
            raise LookupError(f"block {number} of a sequence of {self._length} items was forgotten")
        return self._blocks[number]
