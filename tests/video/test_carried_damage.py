from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from stream_inputs import (
    KINDS,
    RATE,
    add_pictures,
    add_sound,
    carry,
    picture_packets,
    sound_of,
    tone,
    track_facts,
    video,
    with_sound,
    write_rich,
    write_streams,
)

import lib.video.streams
from lib.video.streams import left_behind, stream_reading


def test_a_clock_that_starts_anew_costs_no_sound(tmp_path):
    part = with_sound(tmp_path / "part.ts", "mp2", video_codec="mpeg2video").read_bytes()
    source = tmp_path / "s.ts"
    source.write_bytes(part + part)
    for container, name in KINDS:
        path = video(tmp_path / name)
        notes = carry(path, source, container)
        assert "do not fit together; it goes on where it was" in notes[-1]
        start, samples = sound_of(path)
        assert abs(float(start) + len(samples) / RATE - 4) < 0.1
        with av.open(path) as result:
            times = [packet.dts for packet in result.demux(audio=0) if packet.size]
        assert all(earlier < later for earlier, later in pairwise(times))


@pytest.mark.parametrize(("container", "name"), KINDS)
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "flac"])
def test_damaged_sources_cost_no_picture(tmp_path, container, name, codec):
    source = with_sound(tmp_path / "s.mkv", codec, np.random.default_rng(0).integers(-9000, 9000, 96000, np.int16))
    content = bytearray(source.read_bytes())
    for place in range(5000, len(content), 997):
        content[place : place + 40] = bytes(40)
    source.write_bytes(content[: len(content) * 3 // 4])
    path = video(tmp_path / name)
    before = picture_packets(path)
    carry(path, source, container)
    assert picture_packets(path) == before
    assert [fact[1] for fact in track_facts(path)] in ([codec.replace("lib", "")[:4].rstrip("l")], ["aac"], ["flac"])


@pytest.mark.parametrize(("container", "name"), KINDS)
@pytest.mark.parametrize("content", [b"", b"not a video", b"\x1a\x45\xdf\xa3" + bytes(100)])
def test_sources_that_cannot_be_read_cost_a_note_only(tmp_path, container, name, content):
    (tmp_path / "broken.mkv").write_bytes(content)
    path = video(tmp_path / name)
    before = path.read_bytes()
    (note,) = carry(path, tmp_path / "broken.mkv", container)
    assert "no sound: the audio of broken.mkv cannot be read" in note
    assert path.read_bytes() == before
    assert (stream_reading(tmp_path / "broken.mkv"), left_behind(tmp_path / "broken.mkv")) == ({}, [])


class Refusing(lib.video.streams.CopiedAudio):
    """Copying that fails at the first packet."""

    def take(self, packet):
        raise ValueError("refused")


def test_a_track_that_fails_on_the_way_is_carried_otherwise_or_left_out(tmp_path, monkeypatch):
    source = write_rich(tmp_path / "s.mkv")
    encoded = lib.video.streams.EncodedAudio
    plans = {"aac": (Refusing, encoded), "flac": (Refusing,), "subrip": (lib.video.streams.ConvertedSubtitles,)}
    monkeypatch.setattr("lib.video.streams.ways", lambda stream, _: plans[stream.codec_context.codec.canonical_name])
    path = video(tmp_path / "a.mp4")
    before = picture_packets(path)
    assert carry(path, source, "mp4") == [
        "the audio track 1 of s.mkv (aac, deu) was encoded again as AAC",
        "the audio track 2 of s.mkv (flac, fra) cannot be carried over (refused)",
    ]
    assert [fact[1:3] for fact in track_facts(path)] == [("aac", "deu"), ("mov_text", "spa")]
    assert picture_packets(path) == before


def test_a_track_whose_header_is_refused_on_the_way_costs_no_other(tmp_path):
    """The writer finds out when it writes what waits, while it takes another track's packet."""
    source = write_streams(
        tmp_path / "s.mkv",
        add_pictures,
        lambda c: add_sound(c, "flac", tone(2)),
        lambda c: add_sound(c, "aac", tone(2), options={"strict": "-2"}),
    )
    with av.open(source) as container:
        header = bytes(container.streams.audio[1].codec_context.extradata)
    content = source.read_bytes()
    assert content.count(header) == 1
    source.write_bytes(content.replace(header, b"\xff" * len(header)))
    for container, name in KINDS:
        path = video(tmp_path / name)
        before = picture_packets(path)
        notes = carry(path, source, container)
        assert track_facts(path)[0][1] == "flac"
        assert np.array_equal(sound_of(path)[1], sound_of(source)[1])
        assert all("audio track 2" in note for note in notes)
        assert picture_packets(path) == before


def test_sound_that_decodes_to_nonsense_ends(tmp_path):
    """AAC's encoder does not end on samples far beyond full scale, as damaged packets give them."""
    samples = np.full((1, RATE), 8e7, np.float32)

    def add_loud(container):
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")

        def packets():
            sound = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = RATE, 0, Fraction(1, RATE)
            yield from stream.encode(sound)
            yield from stream.encode()

        return packets

    source = write_streams(tmp_path / "s.mov", add_pictures, add_loud)
    path = video(tmp_path / "a.mp4")
    assert len(carry(path, source, "mp4")) == 1
    assert len(sound_of(path)[1]) >= RATE


def test_a_jump_of_hours_is_not_filled_with_silence(tmp_path):
    def add_jumping(container):
        early = add_sound(container, "mp2", tone(1))
        late = av.AudioFrame.from_ndarray(tone(1)[None], format="s16", layout="mono")
        late.sample_rate, late.pts, late.time_base = RATE, RATE * 3600 * 5, Fraction(1, RATE)
        stream = container.streams.audio[0]

        def packets():
            for packet in early():
                yield packet
            fresh = av.CodecContext.create("mp2", "w")
            fresh.sample_rate, fresh.layout, fresh.format = RATE, "mono", "s16"
            for packet in [*fresh.encode(late), *fresh.encode()]:
                packet.stream = stream
                yield packet

        return packets

    source = write_streams(tmp_path / "s.mkv", add_pictures, add_jumping)
    path = video(tmp_path / "a.mp4")
    assert "do not fit together" in carry(path, source, "mp4")[-1]
    assert abs(len(sound_of(path)[1]) / RATE - 2) < 0.1


def test_tags_that_are_not_utf8_do_not_matter(tmp_path):
    source = write_streams(
        tmp_path / "s.mkv", add_pictures, lambda c: add_sound(c, "aac", tone(2)), tags={"title": "caf\u00e9"}
    )
    source.write_bytes(source.read_bytes().replace("caf\u00e9".encode(), b"caf\xe9\xe9"))
    path = video(tmp_path / "a.mp4")
    assert carry(path, source, "mp4") == []
    assert len(track_facts(path)) == 1
