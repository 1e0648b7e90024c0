from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from stream_inputs import (
    CHAPTERS,
    CUES,
    KINDS,
    RATE,
    add_cues,
    add_pictures,
    add_sound,
    carry,
    chapter_facts,
    cue_facts,
    onset,
    picture_packets,
    sound_of,
    tone,
    track_facts,
    video,
    with_sound,
    write_rich,
    write_streams,
)

from lib.video.sources import kept_tags
from lib.video.streams import left_behind, stream_reading

TEXTS = [(start / 1000, duration / 1000, text.decode()) for start, duration, text in CUES]
TIMES = [(title, Fraction(start, 1000), Fraction(end, 1000)) for title, start, end in CHAPTERS]
UNUSUAL_TIMES = (0, 3000, 9000, 10000, 20000, 33333, 40000, 40001)  # in 1/90000 s


@pytest.mark.parametrize(
    ("container", "name", "subtitle"),
    [("mp4", "a.mp4", ("subtitle", "mov_text", "spa", 65)), ("matroska", "a.mkv", ("subtitle", "subrip", "spa", 64))],
)
def test_everything_of_a_rich_source_arrives(tmp_path, container, name, subtitle):
    source = write_rich(tmp_path / "source.mkv")
    path = video(tmp_path / name)
    assert carry(path, source, container) == []
    assert track_facts(path) == [("audio", "aac", "deu", 0), ("audio", "flac", "fra", 129), subtitle]
    assert chapter_facts(path) == TIMES
    assert cue_facts(path) == TEXTS
    for track in (0, 1):
        assert np.array_equal(sound_of(path, track)[1], sound_of(source, track)[1])
    with av.open(path) as result:
        tags = {key.lower(): value for key, value in result.metadata.items()}
        named = result.streams.audio[0].metadata
        assert (tags["title"], tags["artist"]) == ("A film", "Somebody")
        assert tags["creation_time"].startswith("2020-01-02T03:04:05")
        assert "Ton" in (named.get("title"), named.get("name"))
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == [name, "source.mkv"]


@pytest.mark.parametrize(("container", "name"), KINDS)
def test_two_runs_are_byte_equal(tmp_path, container, name):
    source = write_rich(tmp_path / "source.mkv")
    results = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        path = video(tmp_path / run / name, "libx264")
        carry(path, source, container)
        results.append(path.read_bytes())
    assert results[0] == results[1]


@pytest.mark.parametrize(("container", "name"), KINDS)
def test_tracks_move_with_the_first_frame_and_are_cut_on_request(tmp_path, container, name):
    source = write_rich(tmp_path / "source.mkv", first_frame=12)
    path = video(tmp_path / name)
    carry(path, source, container, Fraction(1))
    assert chapter_facts(path) == [("two", Fraction(0), Fraction(1))]
    assert cue_facts(path) == [(0.0, 0.2, "Hello"), (0.5, 0.5, "World")]
    for track in (0, 1):
        start, samples = sound_of(path, track)
        assert abs(start + Fraction(len(samples), RATE) - 1) < 0.1


@pytest.mark.parametrize(("container", "name"), KINDS)
@pytest.mark.parametrize("codec", ["libx264", "ffv1", "libx265"])
def test_pictures_keep_times_shape_and_colours(tmp_path, container, name, codec):
    path = tmp_path / name
    with av.open(path, "w", format=container, options={"fflags": "+bitexact"}) as result:
        stream = result.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        context = stream.codec_context
        context.time_base, context.sample_aspect_ratio = Fraction(1, 90000), Fraction(4, 3)
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 16, 9, 1
        if codec == "libx265":
            context.codec_tag = "hvc1"
        for n, time in enumerate(UNUSUAL_TIMES):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), n * 30, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 90000)
            result.mux(stream.encode(frame))
        result.mux(stream.encode())
    before = picture_packets(path), picture_facts(path)
    source = write_rich(tmp_path / "source.mkv")
    assert carry(path, source, container) == []
    assert picture_packets(path) == before[0]
    *facts, seconds = picture_facts(path)
    assert facts == list(before[1][:-1])
    assert abs(seconds - before[1][-1]) <= 0.001  # mp4 keeps the whole length in ms
    assert len(track_facts(path)) == 3


def picture_facts(path):
    with av.open(path) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        colours = context.color_primaries, context.color_trc, context.colorspace, context.color_range
        return (
            *colours,
            context.codec_tag,
            context.sample_aspect_ratio,
            stream.average_rate,
            stream.start_time,
            float((stream.duration or 0) * stream.time_base),
        )


@pytest.mark.parametrize(
    ("name", "video_codec", "codec", "kwargs", "in_mp4", "in_matroska"),
    [
        ("s.mp4", "mpeg4", "aac", {}, "aac", "aac"),
        ("s.mp4", "mpeg4", "libmp3lame", {}, "mp3", "mp3"),
        ("s.mkv", "mpeg4", "libmp3lame", {"rate": 11025}, "aac", "mp3"),
        ("s.mov", "mpeg4", "pcm_s16be", {}, "aac", "pcm_s16be"),
        ("s.mov", "mpeg4", "pcm_s24le", {"layout": "7.1"}, "aac", "pcm_s24le"),
        ("s.mkv", "mpeg4", "flac", {"layout": "quad"}, "flac", "flac"),
        ("s.mkv", "mpeg4", "vorbis", {"layout": "stereo", "options": {"strict": "-2"}}, "aac", "vorbis"),
        ("s.webm", "libvpx-vp9", "libopus", {}, "opus", "opus"),
        ("s.ts", "mpeg2video", "aac", {}, "aac", "aac"),
        ("s.ts", "mpeg2video", "mp2", {}, "aac", "mp2"),
        ("s.ts", "mpeg2video", "ac3", {"layout": "5.1"}, "ac3", "ac3"),
        ("s.flv", "flv", "libmp3lame", {"rate": 44100}, "mp3", "mp3"),
        ("s.wmv", "wmv2", "wmav2", {"layout": "stereo"}, "aac", "flac"),
    ],
)
@pytest.mark.parametrize("first", [0, 0.5, -0.3])
def test_sound_stays_in_step(tmp_path, name, video_codec, codec, kwargs, in_mp4, in_matroska, first):
    """The sound starts with the pictures, later, or earlier; a tone follows a second after its start."""
    samples = tone(2, tone_at=1.0)
    kwargs = {"first": 1 + first, "video_codec": video_codec, "first_frame": 24, **kwargs}
    source = with_sound(tmp_path / name, codec, samples, **kwargs)
    with av.open(source) as container:
        channels = container.streams.audio[0].channels
    for container, result, expected in (("mp4", "a.mp4", in_mp4), ("matroska", "a.mkv", in_matroska)):
        path = video(tmp_path / result)
        before = picture_packets(path)
        notes = carry(path, source, container)
        assert [fact[1] for fact in track_facts(path)] == [expected]
        assert sound_of(path)[1].shape[1] == channels
        assert abs(onset(path) - (1 + first)) < 0.02
        assert picture_packets(path) == before
        assert ["encoded again as" in note for note in notes] == [True] * (codec.lstrip("lib")[:3] != expected[:3])


def test_uncompressed_sound_is_cut_to_the_sample(tmp_path):
    source = with_sound(tmp_path / "s.mov", "pcm_s16le", first=0.75, first_frame=24)
    path = video(tmp_path / "a.mkv")
    assert carry(path, source, "matroska", Fraction(5, 4)) == []
    start, samples = sound_of(path)
    assert start == 0
    assert np.array_equal(samples[:, 0], sound_of(source)[1][RATE // 4 : RATE // 4 + RATE * 5 // 4, 0])


def test_sound_longer_than_the_pictures_is_whole(tmp_path):
    source = with_sound(tmp_path / "s.mp4", "aac")
    path = video(tmp_path / "a.mp4", count=12)
    carry(path, source, "mp4")
    assert len(sound_of(path)[1]) == len(sound_of(source)[1])
    assert stream_reading(source) == {}


def test_sources_without_anything_to_carry_leave_the_file_alone(tmp_path):
    path = video(tmp_path / "a.mp4")
    before = path.read_bytes()
    (tmp_path / "frames").mkdir()
    for source in (video(tmp_path / "silent.avi"), tmp_path / "frames", tmp_path / "missing.mp4"):
        assert carry(path, source, "mp4") == []
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "codec", "container", "result", "expected", "notes"),
    [
        ("s.mkv", "ass", "mp4", "a.mp4", "mov_text", ["lost its styles and places"]),
        ("s.mkv", "webvtt", "mp4", "a.mp4", "mov_text", []),
        ("s.mkv", "ass", "matroska", "a.mkv", "ass", []),
        ("s.mkv", "webvtt", "matroska", "a.mkv", "webvtt", []),
        ("s.mp4", "mov_text", "matroska", "a.mkv", "subrip", []),
        ("s.mp4", "mov_text", "mp4", "a.mp4", "mov_text", []),
    ],
)
def test_subtitles_are_copied_or_converted(tmp_path, name, codec, container, result, expected, notes):
    source = write_streams(tmp_path / name, add_pictures, lambda c: add_cues(c, codec, language="spa"))
    path = video(tmp_path / result)
    found = carry(path, source, container)
    assert len(found) == len(notes)
    assert all(part in note for part, note in zip(notes, found, strict=True))
    assert track_facts(path)[0][1:3] == (expected, "spa")
    assert cue_facts(path) == TEXTS


def test_pictures_as_subtitles_are_left_out_of_mp4_with_a_note(tmp_path):
    source = tmp_path / "s.mkv"
    with av.open(source, "w") as container:
        pictures = add_pictures(container)
        stream = container.add_mux_stream("hdmv_pgs_subtitle")
        stream.metadata["language"] = "deu"
        for packet in pictures():
            container.mux(packet)
        packet = av.Packet(bytes.fromhex("160000"))
        packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 1000), 500, 500
        container.mux(packet)
    path = video(tmp_path / "a.mp4")
    assert carry(path, source, "mp4") == [
        "the subtitle track of s.mkv (hdmv_pgs_subtitle, deu) is left out (the container cannot hold it)"
    ]
    assert track_facts(path) == []
    path = video(tmp_path / "a.mkv")
    assert carry(path, source, "matroska") == []
    assert [fact[1:3] for fact in track_facts(path)] == [("hdmv_pgs_subtitle", "deu")]


def add_cover(container):
    """A picture of one frame that comes before everything else, as players show it for songs."""
    stream = container.add_stream("png", rate=1)
    stream.width, stream.height, stream.pix_fmt = 640, 480, "rgb24"
    stream.disposition = Disposition.attached_pic

    def packets():
        frame = av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1)
        yield from stream.encode(frame)
        yield from stream.encode()

    return packets


def add_font(container):
    container.add_attachment("font.ttf", "font/ttf", b"glyphs")
    return lambda: ()


def test_covers_and_attachments(tmp_path):
    cover = write_streams(
        tmp_path / "cover.mp4",
        add_cover,
        lambda c: add_pictures(c, first=24),
        lambda c: add_sound(c, "aac", tone(2, tone_at=1.5)),
    )
    path = video(tmp_path / "a.mp4")
    assert carry(path, cover, "mp4") == []
    assert abs(onset(path) - 0.5) < 0.01
    assert len(picture_packets(path)) == 49
    assert left_behind(cover) == ["cover picture"]
    font = write_streams(tmp_path / "font.mkv", add_pictures, add_font)
    path = video(tmp_path / "a.mkv")
    assert carry(path, font, "matroska") == []
    with av.open(path) as container:
        assert [(a.name, a.mimetype, a.data) for a in container.streams.attachments] == [
            ("font.ttf", "font/ttf", b"glyphs")
        ]
    assert (stream_reading(font), left_behind(font)) == ({"attachments": 1}, ["attachment font.ttf"])


def test_chapters_of_mp4_are_no_data_left_behind(tmp_path):
    source = write_streams(tmp_path / "s.mp4", add_pictures, chapters=CHAPTERS)
    assert left_behind(source) == []
    assert stream_reading(source) == {"chapters": 2}


@pytest.mark.parametrize(
    ("name", "codec", "kwargs", "expected"),
    [
        ("s.mp4", "aac", {"handler_name": "SoundHandler", "language": "und"}, {}),
        ("s.mov", "pcm_s16le", {}, {}),
        ("s.avi", "libmp3lame", {}, {}),
        ("s.mkv", "aac", {"flags": 1, "BPS": "128000", "_STATISTICS_TAGS": "BPS"}, {}),
        ("s.mkv", "flac", {"language": "deu"}, {}),
        ("s.mkv", "aac", {"flags": 9}, {"dispositions": ["comment"]}),
        ("s.mkv", "pcm_s16le", {"layout": "5.1"}, {"channels": 6}),
    ],
)
def test_reading_tells_only_of_what_was_not_carried_before(tmp_path, name, codec, kwargs, expected):
    assert stream_reading(with_sound(tmp_path / name, codec, **kwargs)) == expected


def test_reading_of_a_rich_source(tmp_path):
    assert stream_reading(write_rich(tmp_path / "s.mkv")) == {
        "audio": 2,
        "subtitles": 1,
        "chapters": 2,
        "metadata": ["artist", "title"],
        "dispositions": ["forced", "hearing_impaired"],
    }


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"TITLE": "A", "Artist": "B"}, {"title": "A", "artist": "B"}),
        ({"rotate": "90", "encoder": "Lavf", "major_brand": "isom", "vendor_id": "[0][0][0][0]", "BPS-eng": "9"}, {}),
        ({"handler_name": "Core Media Audio", "language": "und", "DURATION": "00:00:02.0"}, {}),
        ({"handler_name": "Commentary", "language": "deu"}, {"handler_name": "Commentary", "language": "deu"}),
        ({"com.apple.quicktime.location.ISO6709": "+1+2/"}, {"location": "+1+2/"}),
        ({"name": "other", "title": "A"}, {"title": "A"}),
        ({"title": "A", "name": "other"}, {"title": "A"}),
        ({"comment": ""}, {}),
    ],
)
def test_tags_that_are_kept(tags, expected):
    assert kept_tags(tags) == expected
