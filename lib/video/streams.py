"""Joining a source's sound, subtitles, chapters and tags to a written video."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Discard, Stream
from av.subtitles.stream import SubtitleStream

from lib.notes import Note
from lib.video.carriers import (
    Carrier,
    CarrierClass,
    Container,
    ConvertedSubtitles,
    CopiedAudio,
    EncodedAudio,
    ways,
)
from lib.video.decode import main_video
from lib.video.sources import (
    FAILURES,
    Window,
    codec_name,
    failure_reason,
    kept_chapters,
    kept_flags,
    kept_tags,
    left_behind,
    open_source,
    stream_reading,
    video_start,
)

__all__ = ["carry_streams", "left_behind", "stream_reading"]


@dataclass
class _Track:
    """What is known of one audio or subtitle track and the ways to carry it that were not refused yet."""

    label: str  # for notes, such as "audio track 2 of clip.mkv (flac, deu)"
    kind: str  # "audio" or "subtitle"
    ways: list[CarrierClass]
    reason: str = "the container cannot hold it"


@dataclass
class _Plan:
    tracks: dict[int, _Track]  # by the stream's index in the source
    notes: dict[str, Note] = field(default_factory=dict)


class _RefusedError(Exception):
    """Something cannot be carried in the way that was tried; `index`: the track's in the source, None: unknown."""

    def __init__(self, index: int | None, reason: str) -> None:
        super().__init__(reason)
        self.index, self.reason = index, reason


def carry_streams(path: Path, source: Path, *, container: Container, until: Fraction | None) -> tuple[Note, ...]:
    """Join all audio tracks, subtitles, chapters and tags of `source` to the video at `path`, in place.

    The video is copied with its packet times, colours and shape. The source's first video frame becomes time 0.
    Whatever cannot be carried is left out with a note and never costs the picture. Same inputs, same bytes.

    Args:
        path: a finished file of kind `container` with one video stream.
        source: a video; anything else than a file has nothing to carry.
        until: seconds; everything from there on is cut. None: nothing is cut.

    Returns:
        Notes for the user: tracks that were encoded again, converted or left out.
    """
    if not source.is_file():
        return ()
    try:
        with open_source(source) as opened:
            plan = _plan(opened, source, container)
            has_tags = bool(opened.chapters() or _all_tags(opened) or opened.streams.attachments)
    except FAILURES as error:
        return (Note(f"no sound: the audio of {source.name} cannot be read ({failure_reason(error)})"),)
    if plan.tracks or has_tags:
        _join_what_can_be(path, source, container, until, plan)
    is_silent = not any(track.ways for track in plan.tracks.values() if track.kind == "audio")
    refused = [_left_out(track, is_silent) for track in plan.tracks.values() if not track.ways]
    changed = [_changed(track, container) for track in plan.tracks.values() if track.ways]
    return (*(note for note in changed if note), *refused, *plan.notes.values())


def _all_tags(container: InputContainer) -> dict[str, str]:
    video = main_video(container)
    return {**kept_tags(container.metadata), **(kept_tags(video.metadata) if video else {})}


def _plan(source: InputContainer, path: Path, container: Container) -> _Plan:
    tracks: dict[int, _Track] = {}
    for kind, streams in (("audio", source.streams.audio), ("subtitle", source.streams.subtitles)):
        for number, stream in enumerate(streams, 1):
            facts = [codec_name(stream), *([stream.language] if stream.language not in (None, "und") else [])]
            name = f"{kind} track{f' {number}' if len(streams) > 1 else ''} of {path.name} ({', '.join(facts)})"
            track = _Track(name, kind, list(ways(stream, container)))
            while track.ways and (refusal := _refusal(stream, track.ways[0], container)):
                track.reason = refusal
                track.ways.pop(0)
            tracks[stream.index] = track
    return _Plan(tracks)


def _refusal(stream: Stream, way: CarrierClass, container: Container) -> str:
    """Why the container's header cannot describe the track; "" if it can."""
    try:
        with av.open(io.BytesIO(), "w", format=container, options={"fflags": "+bitexact"}) as trial:
            _carrier(way, stream, trial, Window(Fraction(0)), container)
            trial.start_encoding()
    except FAILURES as error:
        return failure_reason(error)
    return ""


def _carrier(
    way: CarrierClass, stream: Stream, joined: OutputContainer, window: Window, container: Container
) -> Carrier:
    if issubclass(way, CopiedAudio | EncodedAudio):
        return way(cast(av.AudioStream, stream), joined, window, container)
    return way(cast(SubtitleStream, stream), joined, window, container)


def _join_what_can_be(path: Path, source: Path, container: Container, until: Fraction | None, plan: _Plan) -> None:
    """Try until nothing is refused: each refusal takes away one way of one track, so this ends."""
    while True:
        try:
            plan.notes = {}
            _join(path, source, container, until, plan)
            return
        except _RefusedError as error:
            known = plan.tracks.get(-1 if error.index is None else error.index)
            track = known or _suspect(path, source, container, until, plan)
            if track is None:
                plan.notes["tags"] = Note(f"the tags of {source.name} cannot be carried over ({error.reason})")
                return
            track.ways.pop(0)
            track.reason = error.reason


def _suspect(path: Path, source: Path, container: Container, until: Fraction | None, plan: _Plan) -> _Track | None:
    """The track that is refused also alone; else the last of those with most ways left, subtitles first."""
    left = {index: track for index, track in plan.tracks.items() if track.ways}
    for index, track in left.items() if len(left) > 1 else ():
        try:
            _join(path, source, container, until, _Plan({index: track}), is_trial=True)
        except _RefusedError:
            return track
    return max(left.values(), key=lambda track: (track.kind == "subtitle", len(track.ways)), default=None)


def _join(
    path: Path, source: Path, container: Container, until: Fraction | None, plan: _Plan, *, is_trial: bool = False
) -> None:
    draft = path.with_name(f"{path.name}.joined")
    try:
        with av.open(path) as video, open_source(source) as other:
            base = cast(Fraction, video.streams.video[0].time_base)
            with av.open(draft, "w", format=container, options=_options(container, base)) as joined:
                _fill(joined, video, other, Window(video_start(other), until), container, plan)
        if not is_trial:
            draft.replace(path)
    except FAILURES as error:
        if isinstance(error.__context__, _RefusedError):  # closing what was refused fails again
            raise error.__context__ from error
        raise _RefusedError(None, failure_reason(error)) from error
    finally:
        draft.unlink(missing_ok=True)


def _options(container: Container, video_base: Fraction) -> dict[str, str]:
    options = {"fflags": "+bitexact"}
    if container == "mp4":
        options |= {"movflags": "+faststart", "video_track_timescale": str(video_base.denominator)}
    return options


def _fill(
    joined: OutputContainer,
    video: InputContainer,
    source: InputContainer,
    window: Window,
    container: Container,
    plan: _Plan,
) -> None:
    pictures = _add_video(joined, video.streams.video[0], main_video(source))
    carriers: dict[int, Carrier] = {}
    for index, track in plan.tracks.items():
        if track.ways:
            stream = source.streams[index]
            carriers[index] = _carrier(track.ways[0], stream, joined, window, container)
            added = joined.streams[len(joined.streams) - 1]
            _describe(added, stream)
    if container == "matroska":
        _add_attachments(joined, source)
    joined.metadata.update(kept_tags(source.metadata))
    joined.set_chapters(kept_chapters(source, window))
    joined.start_encoding()
    others = _source_packets(source, carriers, plan)
    for packet in heapq.merge(_video_packets(video, pictures), others, key=_decoding_time):
        joined.mux(packet)  # writes what waits, so a refusal may be due to any track
    for index, carrier in carriers.items():
        if carrier.clock.is_broken:
            label = plan.tracks[index].label
            plan.notes[label] = Note(f"the times of the {label} do not fit together; it goes on where it was")


def _add_video(joined: OutputContainer, video: av.VideoStream, original: av.VideoStream | None) -> av.VideoStream:
    name = video.codec_context.name
    added = joined.add_mux_stream(name, rate=video.average_rate, width=video.width, height=video.height)
    stream = cast(av.VideoStream, added)
    stream.time_base = video.time_base
    BitStreamFilterContext("null", video, stream)  # copies every parameter: codec tag, shape, colours, side data
    if original is not None:
        _describe(stream, original)
    return stream


def _describe(stream: Stream, original: Stream) -> None:
    stream.metadata.update(kept_tags(original.metadata))
    stream.disposition = kept_flags(original)


def _add_attachments(joined: OutputContainer, source: InputContainer) -> None:
    for stream in cast("tuple[AttachmentStream, ...]", source.streams.attachments):
        if stream.name and stream.mimetype:
            joined.add_attachment(stream.name, stream.mimetype, stream.data)


def _decoding_time(packet: av.Packet) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _video_packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    video = container.streams.video[0]
    end = None if video.duration is None else (video.start_time or 0) + video.duration
    packets = (packet for packet in container.demux(video) if packet.size)
    waiting, last = next(packets, None), None
    while waiting is not None:
        packet, waiting = waiting, next(packets, None)
        if packet.dts is None:  # matroska stores none; any that rise will do
            packet.dts = packet.pts if last is None else last
        last = packet.dts
        if waiting is not None and end is not None and packet.pts is not None and packet.duration:
            # Demuxers give the time to the next packet; in showing order that may lie beyond the video's end.
            packet.duration = max(min(packet.duration, end - packet.pts), 1)
        packet.stream = stream
        yield packet


def _source_packets(source: InputContainer, carriers: dict[int, Carrier], plan: _Plan) -> Iterator[av.Packet]:
    for stream in source.streams:
        if stream.index not in carriers:
            stream.discard = Discard.all
    unfinished = dict(carriers)
    try:
        for packet in source.demux([source.streams[index] for index in carriers]) if carriers else ():
            index = packet.stream_index if packet.size else packet.stream.index
            if not packet.size:
                unfinished.pop(index, None)
            yield from _taken(carriers[index], index, packet)
    except FAILURES as error:
        plan.notes["end"] = Note(
            f"the sound and subtitles of {Path(source.name).name} break off ({failure_reason(error)})"
        )
    for index, carrier in unfinished.items():
        ending = av.Packet()
        ending.stream = source.streams[index]
        yield from _taken(carrier, index, ending)


def _taken(carrier: Carrier, index: int, packet: av.Packet) -> Iterable[av.Packet]:
    try:
        return carrier.take(packet)
    except FAILURES as error:
        raise _RefusedError(index, failure_reason(error)) from error


def _left_out(track: _Track, is_silent: bool) -> Note:
    if track.kind == "audio":
        return Note(f"{'no sound: ' if is_silent else ''}the {track.label} cannot be carried over ({track.reason})")
    return Note(f"the {track.label} is left out ({track.reason})")


def _changed(track: _Track, container: Container) -> Note | None:
    if track.ways[0] is EncodedAudio:
        return Note(f"the {track.label} was encoded again as {'AAC' if container == 'mp4' else 'FLAC'}")
    if track.ways[0] is ConvertedSubtitles and "(ass" in track.label:
        return Note(f"the {track.label} lost its styles and places")
    return None
