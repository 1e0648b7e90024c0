"""What a source video holds besides its pictures: its streams, chapters and tags, and which of them a result keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition, Stream

from lib.video.decode import main_video

# Damaged files make PyAV raise its own errors and, with impossible numbers in them, several of Python's.
FAILURES = (FFmpegError, OSError, ValueError, RuntimeError, LookupError, ArithmeticError)
MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")

# Tags that muxers and cameras write on their own and that describe the source file, not what it shows.
_TECHNICAL = (
    "alpha_mode",
    *("major_brand", "minor_version", "compatible_brands", "encoder", "encoding_tool", "vendor_id", "duration"),
    *("bps", "number_of_frames", "number_of_bytes", "rotate", "timecode", "reel_name", "variant_bitrate"),
    *("width", "height", "framerate", "filesize", "stereo", "encryption", "metadatacreator", "lasttimestamp"),
    *("videocodecid", "videodatarate", "audiocodecid", "audiodatarate", "audiosamplerate", "audiosamplesize"),
    *("hasaudio", "hasvideo", "haskeyframes", "hasmetadata", "hascuepoints", "canseektoend", "cansseektoend"),
    *("isvbr", "software", "deviceconformancetemplate", "asfleakybucketpairs", "source_id", "filename", "mimetype"),
)
_TECHNICAL_STARTS = ("_statistics_", "wm/", "wmfsdk", "id3v2_priv", "location-")
_STANDARD_NAMES = {
    "com.apple.quicktime.location.iso6709": "location",
    "com.apple.quicktime.creationdate": "date",
    "com.apple.quicktime.title": "title",
    "com.apple.quicktime.description": "description",
    "name": "title",  # how a title of a track reads in mp4
}
_DEFAULT_HANDLERS = ("videohandler", "soundhandler", "subtitlehandler", "subtitle media handler", "core media")
_DEFAULT_HANDLERS += ("iso media", "vide", "soun", "apple ", "mainconcept", "gpac", "l-smash", "\x1fmainconcept")
_LOST_FLAGS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@dataclass(frozen=True)
class Window:
    """The part of a source that a result shows, in seconds of the source's clock and of the result's."""

    start: Fraction  # the source's time of the first video frame, which becomes 0
    until: Fraction | None = None  # the result's end; None: everything


def open_source(path: Path) -> InputContainer:
    """A source for reading; tags that are not UTF-8 do not matter.

    Raises:
        FFmpegError, OSError: the file cannot be opened.
    """
    return av.open(path, "r", metadata_errors="replace")


def failure_reason(error: Exception) -> str:
    """What went wrong, without paths and logs."""
    return getattr(error, "strerror", None) or str(error)


def video_start(container: InputContainer) -> Fraction:
    """Seconds on the source's clock at which its first video frame appears."""
    video = main_video(container)
    if video is None or video.start_time is None or video.time_base is None:
        return Fraction(0)
    return video.start_time * video.time_base


def codec_name(stream: Stream) -> str:
    """The codec as everybody calls it: "mp3", whoever decodes it; "unknown" where nothing decodes it."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def kept_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that say something of the content, with lower-case names; technical ones are dropped."""
    kept: dict[str, str] = {}
    for name, value in tags.items():
        key = _STANDARD_NAMES.get(name.lower(), name.lower())
        if value and not _is_technical(key, value) and (key == name.lower() or key not in kept):
            kept[key] = value
    return kept


def kept_flags(stream: Stream) -> Disposition:
    """Dispositions such as default, forced, comment and hearing_impaired."""
    return stream.disposition & ~_LOST_FLAGS


def kept_chapters(container: InputContainer, window: Window) -> list[Any]:
    """Chapters on the result's clock, numbered from 1."""
    kept = []
    for chapter in container.chapters():
        if chapter["time_base"] is None:
            continue
        start = chapter["start"] * chapter["time_base"] - window.start
        end = max(chapter["end"] * chapter["time_base"] - window.start, start)
        if window.until is not None:
            end = min(end, window.until)
        if (start < 0 and end <= 0) or (window.until is not None and start >= window.until):
            continue
        times = {"start": round(max(start, Fraction(0)) * 1000), "end": round(end * 1000)}
        title = {"title": chapter["metadata"]["title"]} if "title" in chapter["metadata"] else {}
        kept.append({"id": len(kept) + 1, **times, "time_base": Fraction(1, 1000), "metadata": title})
    return kept


_SLIGHT = {"creation_time", "language"}  # carried, but no reason to make what is there already anew


def left_behind(source: Path) -> list[str]:
    """What of a source no result carries, such as "cover picture" or "data track tmcd"; for the record."""
    if not source.is_file():
        return []
    try:
        with open_source(source) as container:
            main = main_video(container)
            return [name for stream in container.streams if stream is not main and (name := _left_name(stream))]
    except FAILURES:
        return []


def stream_reading(source: Path) -> dict[str, Any]:
    """What a result carries of a source beyond one plain audio track; {} for most files. JSON-able.

    Results made when only the first audio track was carried stay valid where this is empty. Sound that is longer
    than the pictures does not count, nor do tags that muxers write on their own.
    """
    if not source.is_file():
        return {}
    try:
        with open_source(source) as container:
            return {name: found for name, found in _findings(container).items() if found}
    except FAILURES:
        return {}


def _findings(container: InputContainer) -> dict[str, Any]:
    streams = container.streams
    audio = len(streams.audio)
    main = main_video(container)
    tracks: list[Stream] = [*streams.audio, *streams.subtitles, *([main] if main else [])]
    tags = {name for tags in (container.metadata, *(track.metadata for track in tracks)) for name in kept_tags(tags)}
    flags = {flag.name for track in tracks for flag in kept_flags(track) if flag is not Disposition.default}
    surround = streams.audio[0].channels if audio and codec_name(streams.audio[0]) not in MP4_AUDIO else 0
    return {
        "audio": audio if audio > 1 else 0,
        "channels": surround if surround > 2 else 0,
        "subtitles": len(streams.subtitles),
        "chapters": len(container.chapters()),
        "attachments": len(streams.attachments),
        "metadata": sorted(tags - _SLIGHT),
        "dispositions": sorted(str(flag) for flag in flags),
    }


def _is_technical(key: str, value: str) -> bool:
    if key == "language":
        return value == "und"
    if key == "handler_name":
        return value.strip().lower().startswith(_DEFAULT_HANDLERS)
    return key.split("-")[0] in _TECHNICAL or key.startswith(_TECHNICAL_STARTS)


def _left_name(stream: Stream) -> str:
    if stream.type == "video":
        is_cover = stream.disposition & Disposition.attached_pic
        return "cover picture" if is_cover else f"video track {codec_name(stream)}"
    if stream.type == "attachment":
        return f"attachment {stream.metadata.get('filename', 'without a name')}"
    if stream.type in ("audio", "subtitle") or stream.discard == Discard.all:  # mp4 keeps chapters in such a track
        return ""
    return f"data track {'tmcd' if 'timecode' in stream.metadata else stream.name or 'of an unknown kind'}"
