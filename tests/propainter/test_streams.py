"""Blocks are made when they are read, once, and forgotten in time."""

import pytest
import torch

from lib.propainter.streams import BlockStream


@pytest.fixture
def made():
    return []


@pytest.fixture
def stream(made):
    def make(start, stop):
        made.append((start, stop))
        numbers = torch.arange(start, stop)
        return numbers, -numbers

    return BlockStream(10, 4, make)


def test_only_blocks_that_are_read_are_made_and_each_once(stream, made):
    numbers, negative = stream.read(5, 10)
    assert numbers.tolist() == [5, 6, 7, 8, 9]
    assert negative.tolist() == [-5, -6, -7, -8, -9]
    stream.read(4, 6)
    assert made == [(4, 8), (8, 10)]


def test_items_come_in_the_order_asked_for(stream):
    assert stream.read_at([9, 0, 4])[0].tolist() == [9, 0, 4]


@pytest.mark.parametrize(("start", "stop"), [(0, 11), (-1, 2), (3, 3)])
def test_items_that_do_not_exist_are_refused(stream, start, stop):
    with pytest.raises(IndexError, match="of a sequence of 10"):
        stream.read(start, stop)


def test_forgetting_keeps_what_may_be_read_again(stream, made):
    stream.read(0, 8)
    assert stream.forget(6) == 8  # the next block that is not made yet
    assert stream.read(6, 8)[0].tolist() == [6, 7]
    with pytest.raises(LookupError, match="forgotten"):
        stream.read(3, 5)
    assert made == [(0, 4), (4, 8)]


def test_what_is_not_made_yet_is_still_needed(stream):
    assert stream.forget(5) == 4
    stream.read(4, 10)
    assert stream.forget(100) == 10
