"""How one track of a source gets into a result: copied, encoded again, or converted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import Literal, Protocol, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from lib.video.sources import MP4_AUDIO, Window, codec_name, failure_reason

Container = Literal["mp4", "matroska"]

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_MATROSKA_SUBTITLES = ("subrip", "ass", "ssa", "webvtt", "text", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle")
_MP4_LEAD = Fraction(1, 10)  # seconds before the first frame that are kept: a codec's priming samples
_LARGEST_JITTER = Fraction(1, 10)  # seconds; times that step back further are broken
_LONGEST_GAP = Fraction(600)  # seconds; so are times that jump further, and nobody waits for such silence
_LONGEST_DOUBTFUL_GAP = Fraction(1)  # seconds; where times were broken before
_SMALLEST_STEP = Fraction(1, 1000)  # seconds


class Carrier(Protocol):
    """Takes a track's packets one by one, an empty one last, and gives packets for the result."""

    clock: MediaClock

    def take(self, packet: av.Packet) -> Iterable[av.Packet]: ...


class MediaClock:
    """Moves a track's times to the result's clock and keeps decoding times rising.

    Args:
        step: seconds between packets whose times had to be mended.
        goes_on: times that step back or jump far belong to another clock, and the track goes on where it was.
    """

    def __init__(self, window: Window, step: Fraction = _SMALLEST_STEP, *, goes_on: bool = True) -> None:
        self._start, self._step, self._goes_on = window.start, step, goes_on
        self._last: int | None = None
        self._next = 0  # where the sound goes on
        self._offset = 0
        self.is_broken = False

    def place(self, packet: av.Packet) -> Fraction:
        """Set the packet's times; seconds on the result's clock at which it starts."""
        shift = round(self._start / packet.time_base) - self._offset
        stamp = packet.pts if packet.dts is None else packet.dts
        dts = self._next if stamp is None else stamp - shift
        pts = dts if packet.pts is None else packet.pts - shift
        if self._is_another_clock(dts, packet.time_base):
            self.is_broken = True
            self._offset += self._next - dts
            pts, dts = pts + self._next - dts, self._next
        if self._last is not None and dts < self._last + (1 if self._step else 0):
            dts = self._last + ceil(self._step / packet.time_base)
        packet.dts, packet.pts = dts, max(pts, dts)
        self._last, self._next = dts, dts + (packet.duration or 0)
        return packet.pts * packet.time_base

    def _is_another_clock(self, dts: int, time_base: Fraction) -> bool:
        gap = (dts - self._next) * time_base
        steps_back = self._last is not None and (self._last - dts) * time_base > _LARGEST_JITTER
        longest = _LONGEST_DOUBTFUL_GAP if self.is_broken else _LONGEST_GAP
        return self._goes_on and (steps_back or abs(gap) > longest)


class CopiedAudio:
    """Packets as they are, those within the window."""

    def __init__(self, track: AudioStream, joined: OutputContainer, window: Window, container: Container) -> None:
        self._stream = joined.add_stream_from_template(track)
        self._until = window.until
        self.clock = MediaClock(window)
        self._sample = _pcm_bytes(track), track.rate
        if container == "mp4":
            self._lead = _MP4_LEAD
        else:  # matroska would move all other tracks, unless the codec's header tells of its priming
            padding = Fraction(track.codec_context.delay or 0, track.rate)
            self._lead = padding + (Fraction(1, 2000) if padding else 0)

    def take(self, packet: av.Packet) -> Iterable[av.Packet]:
        if not packet.size:
            return ()
        time = self.clock.place(packet)
        if self._sample[0]:
            return self._cut(packet, time)
        if time < -self._lead or (self._until is not None and time >= self._until):
            return ()
        packet.stream = self._stream
        return (packet,)

    def _cut(self, packet: av.Packet, time: Fraction) -> Iterable[av.Packet]:
        """Samples without compression, exactly those within the window; a packet may last a second."""
        size, rate = self._sample
        first = max(0, round(-time * rate))
        last = packet.size // size
        if self._until is not None:
            last = min(last, round((self._until - time) * rate))
        if first >= last:
            return ()
        whole = (first, last * size) == (0, packet.size)
        part = packet if whole else av.Packet(bytes(packet)[first * size : last * size])
        if not whole:
            part.time_base, part.is_keyframe = packet.time_base, True
            part.pts = part.dts = round((time + Fraction(first, rate)) / packet.time_base)
            part.duration = round(Fraction(last - first, rate) / packet.time_base)
        part.stream = self._stream
        return (part,)


def _pcm_bytes(track: AudioStream) -> int:
    """Bytes of one sample of all channels; 0 where the codec is not plain PCM."""
    found = re.fullmatch(r"pcm_[suf](8|16|24|32|64)(le|be)?", codec_name(track))
    return int(found[1]) // 8 * track.channels if found else 0


class EncodedAudio:
    """Decoded, put exactly on the result's clock with silence in gaps, and encoded again as AAC or FLAC."""

    def __init__(self, track: AudioStream, joined: OutputContainer, window: Window, container: Container) -> None:
        is_deep = track.format.name.startswith(("s32", "dbl")) if track.format else False
        if container == "mp4":
            rate = track.rate if track.rate in _AAC_RATES else 48000
            # Whole numbers clip what a damaged packet decodes to: on such loud sound the encoder never ends.
            self._sound = ("s32", _AAC_LAYOUTS.get(track.channels, "stereo"), rate)
            self._stream = joined.add_stream("aac", rate=rate, layout=self._sound[1])
        else:
            self._sound = ("s32" if is_deep else "s16", track.layout.name, track.rate)
            self._stream = joined.add_stream("flac", rate=track.rate, layout=track.layout.name)
            self._stream.codec_context.format = self._sound[0]
        self._until = window.until
        self._graph: Graph | None = None
        self._input: tuple[object, ...] = ()
        self._written = 0  # samples
        self._failures: list[str] = []
        self.clock = MediaClock(window)

    def take(self, packet: av.Packet) -> Iterable[av.Packet]:
        if packet.size:
            self.clock.place(packet)
        try:
            frames = cast("list[av.AudioFrame]", packet.decode())
        except (FFmpegError, ValueError) as error:  # a damaged packet; silence takes its place
            self._failures.append(failure_reason(error))
            frames = []
        packets = [packet for frame in frames if frame.pts is not None for packet in self._encode(frame)]
        if not packet.size:
            packets += self._drain()
            packets += self._stream.encode()
            if self._failures and not self._written:
                raise ValueError(self._failures[0])
        return [packet for packet in packets if packet.dts is not None]

    def _encode(self, frame: av.AudioFrame) -> list[av.Packet]:
        found = (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
        packets = []
        if found != self._input or self._graph is None:  # broadcasts switch between stereo and 5.1
            packets += self._drain()
            self._input, self._graph = found, self._build(frame)
        self._graph.push(frame)
        return packets + self._pull()

    def _build(self, frame: av.AudioFrame) -> Graph:
        sample_format, layout, rate = self._sound
        filters = [
            ("aresample", f"{rate}:async=1:first_pts={self._written}"),
            ("aformat", f"sample_fmts={sample_format}:channel_layouts={layout}:sample_rates={rate}"),
        ]
        if self._until is not None:
            filters.append(("atrim", f"end_pts={round(self._until * rate)}"))
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=frame.time_base,
        )
        graph.link_nodes(source, *(graph.add(*each) for each in filters), graph.add("abuffersink")).configure()
        return graph

    def _drain(self) -> list[av.Packet]:
        if self._graph is None:
            return []
        self._graph.push(None)
        packets, self._graph = self._pull(), None
        return packets

    def _pull(self) -> list[av.Packet]:
        packets: list[av.Packet] = []
        while self._graph is not None:
            try:
                frame = cast(av.AudioFrame, self._graph.pull())
            except (BlockingIOError, EOFError):  # PyAV's errors are kinds of these
                break
            self._written = max(self._written, (frame.pts or 0) + frame.samples)
            packets += self._stream.encode(frame)
        return packets


class CopiedSubtitles:
    """Packets as they are, those within the window."""

    def __init__(self, track: SubtitleStream, joined: OutputContainer, window: Window, container: Container) -> None:
        self._stream: Stream = joined.add_stream_from_template(track)
        self._placing = _CuePlacing(window, container)
        self.clock = self._placing.clock
        self._is_text = codec_name(track) == "mov_text"

    def take(self, packet: av.Packet) -> Iterable[av.Packet]:
        if self._is_text and bytes(packet) == b"\0\0":  # the end of a text; mp4's writer makes its own
            return ()
        if not packet.size or not self._placing.place(packet):
            return ()
        packet.stream = self._stream
        return (packet,)


class ConvertedSubtitles:
    """Text decoded and written again as the container's own kind of text."""

    def __init__(self, track: SubtitleStream, joined: OutputContainer, window: Window, container: Container) -> None:
        self._decoder = track.codec_context
        self._decoder.open(strict=False)
        self._stream = joined.add_stream("mov_text" if container == "mp4" else "subrip")
        encoder = self._stream.codec_context
        encoder.time_base, encoder.subtitle_header = Fraction(1, 1000), self._decoder.subtitle_header
        self._placing = _CuePlacing(window, container)
        self.clock = self._placing.clock

    def take(self, packet: av.Packet) -> Iterable[av.Packet]:
        try:
            cue = self._decoder.decode2(packet) if packet.size else None
        except (FFmpegError, ValueError):  # a damaged text does not cost the others
            return ()
        if cue is None or not len(cue) or not self._placing.place(packet):
            return ()
        cue_packet = self._stream.codec_context.encode_subtitle(cue)
        cue_packet.time_base, cue_packet.stream = packet.time_base, self._stream
        cue_packet.pts, cue_packet.dts, cue_packet.duration = packet.pts, packet.dts, packet.duration
        return (cue_packet,)


class _CuePlacing:
    """Cues on the result's clock, cut to its window."""

    def __init__(self, window: Window, container: Container) -> None:
        self._until = window.until
        step = _SMALLEST_STEP if container == "mp4" else Fraction(0)  # matroska shows texts at the same time
        self.clock = MediaClock(window, step, goes_on=False)

    def place(self, packet: av.Packet) -> bool:
        """Set the packet's times; whether anything of it is to be seen."""
        start, base = self.clock.place(packet), packet.time_base
        end = start + (packet.duration or 0) * base
        if (start < 0 and end <= 0) or (self._until is not None and start >= self._until):
            return False
        if start < 0:
            packet.pts = packet.dts = 0
        if packet.duration:
            last = end if self._until is None else min(end, self._until)
            packet.duration = round(last / base) - cast(int, packet.pts)
        return True


CarrierClass = type[CopiedAudio] | type[EncodedAudio] | type[CopiedSubtitles] | type[ConvertedSubtitles]


def ways(track: Stream, container: Container) -> tuple[CarrierClass, ...]:
    """How a track may be carried, the best way first; none where the container cannot hold it."""
    if track.codec_context is None:
        return ()
    name = codec_name(track)
    if track.type == "audio":
        return (CopiedAudio, EncodedAudio) if container == "matroska" or name in MP4_AUDIO else (EncodedAudio,)
    if name in (("mov_text",) if container == "mp4" else _MATROSKA_SUBTITLES):
        return (CopiedSubtitles,)
    return (ConvertedSubtitles,) if track.codec_context.codec.text_sub else ()
