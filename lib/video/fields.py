"""The two fields of an interlaced frame: which is shown first, as decoders say and encoders are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from lib.video.orientation import Orientation

if TYPE_CHECKING:
    from av import VideoFrame
    from av.filter import Graph

_TOP_FIRST, _BOTTOM_FIRST = (2, 5), (3, 4)  # FFmpeg's numbers of field orders: by what is shown first
_IS_TOP_FIRST = r"expr=eq(interlace_type\,TOPFIRST)"  # PyAV has no name for this flag of a frame: filters have


@dataclass(frozen=True)
class Fields:
    """How the upright frames of a clip consist of two fields each."""

    top_first: bool
    sideways: bool = False  # they are columns: no player knows such fields


def fields_of(frame: VideoFrame, told: int, orientation: Orientation) -> Fields | None:
    """The fields of a clip by its first frame as it is decoded; None where frames are whole.

    Args:
        told: the field order by the file's headers, FFmpeg's number. What the frame itself says is preferred, as
            players do: of DV, headers say nothing, and it begins with the bottom field.
        orientation: of the frame.
    """
    if frame.interlaced_frame:
        top_first = _begins_at_top(frame)
    elif told in _TOP_FIRST + _BOTTOM_FIRST:
        top_first = told in _TOP_FIRST
    else:
        return None
    if orientation.transposed:
        return Fields(top_first, sideways=True)
    swapped = orientation.rows_flipped and frame.height % 2 == 0
    return Fields(top_first != swapped)


def with_fields(frames: Iterable[VideoFrame], *, top_first: bool) -> Iterator[VideoFrame]:
    """The same frames, marked as two fields each: encoders believe that more than their options."""
    graph = None
    for frame in frames:
        graph = graph or _graph(frame, "setfield", f"mode={'tff' if top_first else 'bff'}")
        graph.push(frame)
        yield cast("VideoFrame", graph.pull())


def _begins_at_top(frame: VideoFrame) -> bool:
    from av.error import BlockingIOError as NothingYet

    graph = _graph(frame, "select", _IS_TOP_FIRST)
    graph.push(frame)
    try:
        graph.pull()
    except NothingYet:
        return False
    return True


def _graph(frame: VideoFrame, name: str, arguments: str) -> Graph:
    from fractions import Fraction

    from av.filter import Graph

    graph = Graph()
    tick = frame.time_base or Fraction(1, 1000)
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    between, sink = graph.add(name, arguments), graph.add("buffersink")
    source.link_to(between)
    between.link_to(sink)
    graph.configure()
    return graph
