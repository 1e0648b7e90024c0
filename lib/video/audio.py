"""Carrying a source's audio track into a written mp4."""

import heapq
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

_MP4_CARRIES = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_LARGEST_LEAD = Fraction(1, 10)  # seconds before the first frame that are kept: a codec's priming samples

_Packets = Callable[[InputContainer, AudioStream, OutputContainer, Fraction], Iterator[av.Packet]]


def add_audio(path: Path, source: Path, seconds: Fraction) -> tuple[str, ...]:
    """Add the audio track of `source`, cut to `seconds`, to the mp4 at `path`: copied, or as AAC where mp4 cannot.

    Returns notes for the user. A track that cannot be carried is left out with a note: sound never costs the picture.
    """
    if not source.is_file():
        return ()
    try:
        with av.open(source) as container:
            codec = container.streams.audio[0].codec_context.name if container.streams.audio else None
    except (FFmpegError, OSError) as error:
        return (f"no sound: the audio of {source.name} cannot be read ({error})",)
    if codec is None:
        return ()
    ways: tuple[tuple[_Packets, tuple[str, ...]], ...] = (
        (_copied, ()),
        (_encoded, (f"the audio track of {source.name} ({codec}) was encoded again as AAC",)),
    )
    reason = ""
    for packets, notes in ways if codec in _MP4_CARRIES else ways[1:]:
        try:
            _join(path, source, seconds, packets)
        except (FFmpegError, OSError, ValueError) as error:
            reason = str(error)
        else:
            return notes
    return (f"no sound: the audio track of {source.name} ({codec}) cannot be carried over ({reason})",)


def _join(path: Path, source: Path, seconds: Fraction, packets: _Packets) -> None:
    draft = path.with_name(f"{path.name}.audio")
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    try:
        with av.open(path) as video, av.open(source) as sound, av.open(draft, "w", "mp4", options=options) as joined:
            stream = joined.add_stream_from_template(video.streams.video[0])
            audio = packets(sound, sound.streams.audio[0], joined, seconds)
            for packet in heapq.merge(_video_packets(video, stream), audio, key=_decoding_time):
                joined.mux(packet)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _decoding_time(packet: av.Packet) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _video_packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    for packet in container.demux(video=0):
        if packet.dts is not None:
            packet.stream = stream
            yield packet


def _copied(
    container: InputContainer, audio: AudioStream, joined: OutputContainer, seconds: Fraction
) -> Iterator[av.Packet]:
    stream = joined.add_stream_from_template(audio)
    return _cut_packets(container, audio, stream, seconds)


def _cut_packets(
    container: InputContainer, audio: AudioStream, stream: AudioStream, seconds: Fraction
) -> Iterator[av.Packet]:
    start = _video_start(container)
    for packet in container.demux(audio):
        if packet.dts is None:
            continue
        shift = round(start / packet.time_base)
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        time = packet.pts * packet.time_base
        if -_LARGEST_LEAD <= time < seconds:
            packet.stream = stream
            yield packet


def _encoded(
    container: InputContainer, audio: AudioStream, joined: OutputContainer, seconds: Fraction
) -> Iterator[av.Packet]:
    rate = audio.rate if audio.rate in _AAC_RATES else 48000
    stream = joined.add_stream("aac", rate=rate, layout="mono" if audio.channels == 1 else "stereo")
    return iter([packet for packet in _aac_packets(container, audio, stream, seconds) if packet.dts is not None])


def _aac_packets(
    container: InputContainer, audio: AudioStream, stream: AudioStream, seconds: Fraction
) -> Iterator[av.Packet]:
    start = _video_start(container)
    for frame in container.decode(audio):
        if frame.pts is None or frame.time_base is None:
            continue
        frame.pts -= round(start / frame.time_base)
        time = frame.pts * frame.time_base
        if time >= seconds:
            break
        if time >= 0:
            yield from stream.encode(frame)
    yield from stream.encode()


def _video_start(container: InputContainer) -> Fraction:
    video = container.streams.best("video")
    if video is None or video.start_time is None or video.time_base is None:
        return Fraction(0)
    return video.start_time * video.time_base
