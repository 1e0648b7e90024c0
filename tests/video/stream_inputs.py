"""Videos with several tracks, chapters and tags, and what is found in a result."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

from lib.video.streams import carry_streams

RATE = 48000
KINDS = [("mp4", "a.mp4"), ("matroska", "a.mkv")]
CHAPTERS = (("one", 0, 500), ("two", 500, 2000))
ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    b"Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, "
    b"MarginV, Encoding\r\n"
    b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\r\n\r\n[Events]\r\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)
CUES = ((0, 700, b"Hello"), (1000, 700, b"World"))  # ms, ms, text


def tone(seconds: float, hertz: float = 440.0, tone_at: float = 0.0) -> np.ndarray:
    """(N,) int16 samples of a sine that starts at `tone_at` seconds."""
    time = np.arange(int(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * hertz * time) * 12000 * (time >= tone_at)).astype(np.int16)


def add_pictures(container, codec="mpeg4", count=48, first=0, fps=24):
    """A video stream and its packets; frame n is shown at (first + n) / fps seconds."""
    stream = container.add_stream(codec, rate=fps)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    stream.codec_context.thread_count = 1

    def packets():
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), n * 5, np.uint8), format="rgb24")
            frame.pts, frame.time_base = first + n, Fraction(1, fps)
            yield from stream.encode(frame)
        yield from stream.encode()

    return packets


def mark(stream, flags=0, **tags):
    """Dispositions and tags of a track."""
    stream.metadata.update(tags)
    stream.disposition = flags


def add_sound(container, codec, samples, *, layout="mono", first=0.0, rate=RATE, options=None, **marks):
    """An audio stream and its packets, the same samples in all channels, from `first` seconds on; see `mark`."""
    stream = container.add_stream(codec, rate=rate, layout=layout, options=options or {}, bit_rate=128000)
    mark(stream, **marks)

    def packets():
        channels = av.AudioLayout(layout).nb_channels
        sound = av.AudioFrame.from_ndarray(np.repeat(samples, channels)[None], format="s16", layout=layout)
        sound.sample_rate, sound.pts, sound.time_base = RATE, round(first * RATE), Fraction(1, RATE)
        yield from stream.encode(sound)
        yield from stream.encode()

    return packets


def add_cues(container, codec="subrip", cues=CUES, **marks):
    """A subtitle stream and its packets."""
    stream = container.add_stream(codec)
    stream.codec_context.time_base, stream.codec_context.subtitle_header = Fraction(1, 1000), ASS_HEADER
    mark(stream, **marks)

    def packets():
        for number, (start, duration, text) in enumerate(cues):
            cue = SubtitleSet.create(b"%d,0,Default,,0,0,0,,%s" % (number, text), 0, duration)
            packet = stream.codec_context.encode_subtitle(cue)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = duration
            yield packet

    return packets


def write_streams(path: Path, *adders, tags=None, chapters=(), container_format=None) -> Path:
    """A file of streams that the functions `adders` add to its container, in order of time."""
    with av.open(path, "w", format=container_format) as container:
        tracks = [add(container) for add in adders]
        container.metadata.update(tags or {})
        container.set_chapters(
            [
                {"id": n, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for n, (title, start, end) in enumerate(chapters, 1)
            ]
        )
        container.start_encoding()
        packets = [packet for track in tracks for packet in track() if packet.dts is not None]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def write_rich(path: Path, *, subtitles="subrip", first_frame=0) -> Path:
    """Two audio tracks, the second one by default, subtitles, two chapters and a title."""
    return write_streams(
        path,
        lambda c: add_pictures(c, first=first_frame),
        lambda c: add_sound(c, "aac", tone(2), language="deu", title="Ton"),
        lambda c: add_sound(c, "flac", tone(2, 880), language="fra", flags=1 | 1 << 7),
        lambda c: add_cues(c, subtitles, language="spa", flags=1 << 6),
        tags={"title": "A film", "artist": "Somebody", "creation_time": "2020-01-02T03:04:05.000000Z"},
        chapters=CHAPTERS,
    )


def track_facts(path: Path) -> list[tuple[str, str, str | None, int]]:
    """Type, codec, language and dispositions of each audio and subtitle track."""
    with av.open(path) as container:
        tracks = [*container.streams.audio, *container.streams.subtitles]
        return [
            (t.type, t.codec_context.codec.canonical_name, t.metadata.get("language"), int(t.disposition) & 0xFFFF)
            for t in tracks
        ]


def chapter_facts(path: Path) -> list[tuple[str, Fraction, Fraction]]:
    """Title, start and end in seconds."""
    with av.open(path) as container:
        return [
            (c["metadata"]["title"], c["start"] * c["time_base"], c["end"] * c["time_base"])
            for c in container.chapters()
        ]


def cue_facts(path: Path, track: int = 0) -> list[tuple[float, float, str]]:
    """Start and duration in seconds and text of each cue."""
    with av.open(path) as container:
        stream = container.streams.subtitles[track]
        found = []
        for packet in container.demux(stream):
            cue = stream.codec_context.decode2(packet) if packet.size else None
            if cue and len(cue):
                text = cue[0].ass.decode().split(",", 8)[-1]
                found.append((float(packet.pts * packet.time_base), float(packet.duration * packet.time_base), text))
        return found


def sound_of(path: Path, track: int = 0) -> tuple[Fraction, np.ndarray]:
    """Start in seconds and (N, channels) float samples of an audio track."""
    with av.open(path) as container:
        stream = container.streams.audio[track]
        frames = list(container.decode(stream))
        packed = av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)
        parts = [part.to_ndarray()[0] for frame in frames for part in packed.resample(frame)]
        return frames[0].pts * frames[0].time_base, np.concatenate(parts).reshape(-1, stream.channels)


def picture_packets(path: Path) -> list[tuple]:
    """Time base, then (pts, dts, duration, key, bytes) of each video packet."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        packets = [(p.pts, p.dts, p.duration, p.is_keyframe, bytes(p)) for p in container.demux(stream) if p.size]
        return [stream.time_base, *packets]


def video(path, codec="mpeg4", count=48):
    return write_streams(path, lambda c: add_pictures(c, codec, count))


def with_sound(path, codec, samples=None, *, video_codec="mpeg4", first_frame=0, **kwargs):
    samples = tone(2) if samples is None else samples
    return write_streams(
        path,
        lambda c: add_pictures(c, video_codec, first=first_frame),
        lambda c: add_sound(c, codec, samples, **kwargs),
    )


def carry(path, source, container, until=None):
    return [str(note) for note in carry_streams(path, source, container=container, until=until)]


def onset(path):
    """Seconds at which the first track becomes loud."""
    start, samples = sound_of(path)
    with av.open(path) as container:
        rate = container.streams.audio[0].rate
    return float(start) + np.flatnonzero(np.abs(samples[:, 0]) > 0.1)[0] / rate
