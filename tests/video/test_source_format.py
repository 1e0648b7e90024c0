"""Results in their source's format: which one, composed in its planes, encoded."""

import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from video_inputs import moving_frames

from lib.video.codecs import codec_for, ffv1_rgb, h264, tag_colours
from lib.video.colour import ColourTags, tags_of, white_of_rgb48
from lib.video.compose import Feather, GaussianBlend
from lib.video.decode import raw_frames
from lib.video.hdr_metadata import hdr_metadata
from lib.video.native_compose import compose_in_format
from lib.video.planes import code_values, frame_of, native_planes
from lib.video.sdr import from_sdr, to_sdr
from lib.video.source_format import ResultFormat, result_format

SIZE = (48, 64)
BT709, BT601_FULL = ColourTags(1, 1, 1, False), ColourTags(5, 1, 1, True)
HLG, PQ, BT2020 = ColourTags(9, 18, 9, False), ColourTags(9, 16, 9, False), ColourTags(9, 14, 9, False)
P3 = ColourTags(1, 13, 12, False)
NATIVE = {  # pixel format and tags of what is composed plane by plane
    "10 bits": ("yuv420p10le", BT709),
    "10 bits, untagged": ("yuv420p10le", ColourTags(5, 2, 2, False)),
    "10 bits 4:2:2": ("yuv422p10le", BT709),
    "10 bits 4:4:4": ("yuv444p10le", BT709),
    "12 bits 4:2:2": ("yuv422p12le", BT709),
    "8 bits 4:2:2": ("yuv422p", BT709),
    "8 bits 4:2:2 full": ("yuv422p", BT601_FULL),
    "BT.2020": ("yuv420p10le", BT2020),
    "Display P3": ("yuv420p", P3),
    "HLG": ("yuv420p10le", HLG),
    "PQ": ("yuv420p10le", PQ),
    "PQ 4:4:4": ("yuv444p10le", PQ),
    "RGB": ("gbrp10le", ColourTags(0, 13, 1, True)),
    "gray": ("gray12le", ColourTags(5, 1, 1, True)),
}
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


def format_of(pixel_format, tags, size=SIZE, **more):
    frame = av.VideoFrame(size[1], size[0], pixel_format)
    frame.colorspace, frame.color_trc, frame.color_primaries = tags.matrix, tags.transfer, tags.primaries
    frame.color_range = 2 if tags.full_range else 1
    found = result_format(frame, size, **more)
    assert found is not None
    return found


def native_frames(wanted, count=3, size=SIZE):
    """Smooth frames of any format, with numbers that no conversion from 8 bits gives."""
    for picture in moving_frames(count, *size):
        values = code_values(from_sdr((picture * 0.5 + 40).astype(np.uint8), wanted.tags), wanted)
        planes = []
        for index, value in enumerate(values):
            columns, rows = wanted.chroma if index else (1, 1)
            reduced = np.floor(value[::rows, ::columns])
            fine = np.indices(reduced.shape).sum(axis=0) % 4
            planes.append((reduced + fine).astype(np.uint8 if wanted.depth == 8 else np.uint16))
        yield frame_of(planes, wanted)


def sdr_of(frame):
    return to_sdr(frame.to_ndarray(format="rgb48le", interpolation=EXACT), tags_of(frame), white_of_rgb48(frame))


def hole(size=SIZE):
    mask = np.zeros(size, bool)
    mask[13:30, 21:42] = True
    return mask


def far_from(mask, by):
    padded = np.pad(mask, by)
    near = np.zeros_like(mask)
    for row in range(2 * by + 1):
        for column in range(2 * by + 1):
            near |= padded[row : row + mask.shape[0], column : column + mask.shape[1]]
    return ~near


def chroma_far(far, chroma):
    columns, rows = chroma
    height, width = far.shape
    return far.reshape(height // rows, rows, width // columns, columns).all(axis=(1, 3))


def psnr(found, expected, top):
    return 10 * np.log10(top**2 / max(np.mean((found.astype(float) - expected) ** 2), 1e-9))


def write(path, frames, codec):
    with av.open(path, "w", format=codec.container, options={"fflags": "+bitexact", **codec.container_options}) as out:
        stream = out.add_stream(codec.name, rate=24, options=dict(codec.options))
        stream.height, stream.width, stream.pix_fmt = *SIZE, codec.pixel_format
        stream.codec_context.thread_count = 4
        if codec.tag:
            stream.codec_context.codec_tag = codec.tag
        if codec.colour:
            tag_colours(stream.codec_context, codec.colour)
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, Fraction(1, 24)
            out.mux(stream.encode(frame.reformat(format=codec.pixel_format)))
        out.mux(stream.encode())
    return path


def read(path):
    return list(raw_frames(path))


@pytest.mark.parametrize(("pixel_format", "tags"), NATIVE.values(), ids=NATIVE)
def test_the_format_is_the_sources(pixel_format, tags):
    found = format_of(pixel_format, tags)
    assert (found.pixel_format, found.tags) == (pixel_format, tags)


@pytest.mark.parametrize(
    ("pixel_format", "expected"),
    [
        ("p010le", "yuv420p10le"),
        ("y210le", "yuv422p10le"),
        ("yuv422p10be", "yuv422p10le"),
        ("yuyv422", "yuv422p"),
        ("yuvj422p", "yuv422p"),
        ("yuv411p", "yuv422p"),
        ("yuv440p", "yuv444p"),
        ("yuv420p9le", "yuv420p10le"),
        ("yuva444p10le", "yuv444p10le"),
        ("rgb24", "gbrp"),
        ("bgr0", "gbrp"),
        ("rgba", "gbrp"),
        ("rgb48le", "gbrp16le"),
        ("x2rgb10le", "gbrp10le"),
    ],
)
def test_other_layouts_go_to_the_nearest_that_holds_them(pixel_format, expected):
    assert format_of(pixel_format, ColourTags(2, 2, 2, False)).pixel_format == expected


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuvj420p", "nv12", "yuv410p", "gray", "pal8", "xyz12le", "gbrpf32le"]
)
def test_ordinary_sources_have_no_format_of_their_own(pixel_format):
    assert result_format(av.VideoFrame(64, 48, pixel_format), SIZE) is None


def test_odd_sides_and_turned_pictures_need_whole_chroma():
    assert format_of("yuv420p10le", BT709, (33, 51)).pixel_format == "yuv444p10le"
    assert format_of("yuv422p10le", BT709, turned=True).pixel_format == "yuv444p10le"
    assert format_of("yuv420p10le", BT709, turned=True).pixel_format == "yuv420p10le"
    wanted = format_of("yuv422p10le", BT709)
    with pytest.raises(ValueError, match="cannot be turned"):
        next(compose_in_format([], [], [], Feather(1), wanted, SIZE, turned=True))


@pytest.mark.parametrize(
    ("pixel_format", "tags", "expected", "delivered"),
    [
        ("yuv422p12le", BT709, "yuv422p10le", BT709),
        ("yuv420p", PQ, "yuv420p10le", PQ),
        ("yuv420p", BT2020, "yuv420p", BT2020),
        ("rgb24", ColourTags(2, 13, 1, True), "yuv444p", ColourTags(1, 13, 1, False)),
        ("gbrp12le", ColourTags(2, 16, 9, True), "yuv444p10le", PQ),
        ("gray16le", ColourTags(1, 1, 1, True), "yuv420p10le", ColourTags(1, 1, 1, True)),
    ],
)
def test_delivery_is_what_players_take(pixel_format, tags, expected, delivered):
    found = format_of(pixel_format, tags).for_delivery()
    assert (found.pixel_format, found.tags) == (expected, delivered)
    assert found.for_delivery() == found


def test_lost_bits_are_told_but_not_of_the_lossless_copy():
    found = format_of("yuv422p12le", BT709)
    assert [note.kind for note in found.notes(lossless=False)] == ["result"]
    assert "12 bits" in str(found.notes(lossless=False)[0])
    assert found.notes(lossless=True) == ()
    assert format_of("yuv422p10le", BT709).notes(lossless=False) == ()


@pytest.mark.parametrize("blend", [Feather(0), Feather(3), GaussianBlend()], ids=["hard", "feather", "gaussian"])
@pytest.mark.parametrize("name", NATIVE)
def test_outside_nothing_changes_and_inside_is_the_fill(name, blend):
    wanted = format_of(*NATIVE[name])
    sources, mask = list(native_frames(wanted)), hole()
    fill = np.full((*SIZE, 3), (180, 90, 60), np.uint8)
    composed = list(compose_in_format(sources, [fill] * 3, [mask] * 3, blend, wanted, SIZE))
    expected = [plane[20, 30] for plane in code_values(from_sdr(fill, wanted.tags), wanted)]
    far = far_from(mask, blend.reach)
    for source, frame in zip(sources, composed, strict=True):
        assert (frame.format.name, tags_of(frame)) == (wanted.pixel_format, wanted.tags)
        before, after = native_planes(source, wanted, SIZE), native_planes(frame, wanted, SIZE)
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            chroma = wanted.chroma if index else (1, 1)
            outside, inside = chroma_far(far, chroma), chroma_far(mask, chroma)
            assert np.array_equal(old[outside], new[outside])
            assert np.abs(new[inside] - expected[index]).max() <= 0.51
            assert not np.array_equal(old[inside], new[inside])


@pytest.mark.parametrize("name", NATIVE)
def test_the_source_as_it_was_shown_comes_back_as_it_was(name):
    wanted = format_of(*NATIVE[name])
    sources = list(native_frames(wanted))
    whole = np.ones(SIZE, bool)
    composed = compose_in_format(sources, map(sdr_of, sources), [whole] * 3, Feather(0), wanted, SIZE)
    top = (1 << wanted.depth) - 1
    for source, frame in zip(sources, composed, strict=True):
        for old, new in zip(native_planes(source, wanted, SIZE), native_planes(frame, wanted, SIZE), strict=True):
            assert psnr(new, old, top) > 45


@pytest.mark.parametrize("family", ["yuv", "rgb", "gray"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_white_is_known_however_it_was_converted(family, full, depth):
    matrix = 0 if family == "rgb" else 9
    wanted = ResultFormat(family, (1, 1), depth, ColourTags(matrix, 16, 9, full or family != "yuv"), odd_sides=False)
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], (48, 1, 3))
    frame = frame_of([np.rint(plane) for plane in code_values(ramp, wanted)], wanted)
    signal = frame.to_ndarray(format="rgb48le") / white_of_rgb48(frame)
    assert signal[:, -1] == pytest.approx(1, abs=1e-4)
    assert signal == pytest.approx(ramp, abs=0.6 / (1 << depth) * 256 / 219 + 1e-4)


def test_an_empty_mask_gives_the_source_back():
    wanted = format_of("yuv420p10le", HLG)
    sources = list(native_frames(wanted))
    none = np.zeros(SIZE, bool)
    composed = compose_in_format(sources, moving_frames(3), [none] * 3, Feather(4), wanted, SIZE)
    for source, frame in zip(sources, composed, strict=True):
        for old, new in zip(native_planes(source, wanted, SIZE), native_planes(frame, wanted, SIZE), strict=True):
            assert np.array_equal(old, new)


@pytest.mark.parametrize("packed", ["p010le", "yuva420p10le"])
def test_another_layout_of_the_same_numbers_keeps_them(packed):
    wanted = format_of("yuv420p10le", BT2020)
    plain = next(native_frames(wanted))
    frame = plain.reformat(format=packed)
    assert result_format(frame, SIZE) == wanted
    for old, new in zip(native_planes(plain, wanted, SIZE), native_planes(frame, wanted, SIZE), strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv444p"])
def test_all_eight_orientations(turns, mirrored, pixel_format):
    wanted, turned = format_of(pixel_format, BT709), bool(turns % 2)

    def orient(plane):
        return np.rot90(plane[:, ::-1] if mirrored else plane, turns)

    size = (SIZE[1], SIZE[0]) if turned else SIZE
    sources = list(native_frames(wanted))
    mask = np.zeros(size, bool)
    mask[10:20, 12:30] = True
    fills = np.full((3, *size, 3), 200, np.uint8)
    composed = compose_in_format(sources, fills, [mask] * 3, Feather(0), wanted, size, orient=orient, turned=turned)
    for source, frame in zip(sources, composed, strict=True):
        assert (frame.height, frame.width) == size
        after = native_planes(frame, wanted, size)
        for index, (old, new) in enumerate(zip(native_planes(source, wanted, SIZE), after, strict=True)):
            outside = chroma_far(~mask, wanted.chroma if index else (1, 1))
            assert np.array_equal(orient(old)[outside], new[outside])
        assert (after[0][mask] > 700 if wanted.depth == 10 else after[0][mask] > 175).all()


def test_a_turned_422_source_keeps_its_luma():
    wanted = format_of("yuv422p10le", BT709, turned=True)
    source = next(native_frames(format_of("yuv422p10le", BT709)))
    size = SIZE[1], SIZE[0]
    (frame,) = compose_in_format(
        [source],
        moving_frames(1, *size),
        [np.zeros(size, bool)],
        Feather(0),
        wanted,
        size,
        orient=np.rot90,
        turned=True,
    )
    assert np.array_equal(native_planes(frame, wanted, size)[0], np.rot90(native_planes(source, wanted, SIZE)[0]))


def test_another_size_is_scaled_with_its_depth():
    wanted, size = format_of("yuv420p10le", PQ), (24, 32)
    source = next(native_frames(wanted))
    (frame,) = compose_in_format([source], moving_frames(1), [np.zeros(SIZE, bool)], Feather(2), wanted, size)
    luma = native_planes(source, wanted, SIZE)[0].reshape(24, 2, 32, 2).mean(axis=(1, 3))
    assert np.abs(native_planes(frame, wanted, size)[0][2:-2, 2:-2] - luma[2:-2, 2:-2]).max() < 12
    assert tags_of(frame) == PQ


def test_frames_come_one_by_one_and_lengths_must_agree():
    wanted, taken = format_of("yuv420p10le", BT709), []
    sources = (taken.append(index) or frame for index, frame in enumerate(native_frames(wanted)))
    composed = compose_in_format(sources, moving_frames(3), [hole()] * 3, Feather(2), wanted, SIZE)
    next(composed)
    assert taken == [0]
    with pytest.raises(ValueError, match="shorter"):
        list(compose_in_format(native_frames(wanted), moving_frames(2), [hole()] * 3, Feather(2), wanted, SIZE))


@pytest.mark.parametrize("name", NATIVE)
def test_delivered_files_have_the_format_and_the_same_bytes_again(name, tmp_path):
    wanted = format_of(*NATIVE[name]).for_delivery()
    codec = codec_for(wanted, lossless=False)
    assert codec.name == ("libx265" if wanted.tags.is_hdr else "libx264")
    paths = [write(tmp_path / f"{run}.mp4", native_frames(wanted, 12), codec) for run in range(2)]
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in paths}) == 1
    frames = read(paths[0])
    assert len(frames) == 12
    for source, frame in zip(native_frames(wanted, 12), frames, strict=True):
        assert (frame.format.name.replace("yuvj", "yuv"), tags_of(frame)) == (wanted.pixel_format, wanted.tags)
        for old, new in zip(native_planes(source, wanted, SIZE), native_planes(frame, wanted, SIZE), strict=True):
            assert psnr(new, old, (1 << wanted.depth) - 1) > 40


@pytest.mark.parametrize("name", NATIVE)
def test_lossless_files_keep_every_number(name, tmp_path):
    wanted = format_of(*NATIVE[name])
    frames = read(write(tmp_path / "a.mkv", native_frames(wanted), codec_for(wanted, lossless=True)))
    for source, frame in zip(native_frames(wanted), frames, strict=True):
        found = tags_of(frame)
        assert (found.transfer, found.primaries) == (wanted.tags.transfer, wanted.tags.primaries)
        for old, new in zip(native_planes(source, wanted, SIZE), native_planes(frame, wanted, SIZE), strict=True):
            assert np.array_equal(old, new)


def test_hevc_has_apples_name_and_nothing_of_this_machine(tmp_path):
    codec = codec_for(format_of("yuv420p10le", PQ), lossless=False)
    content = write(tmp_path / "a.mp4", native_frames(format_of("yuv420p10le", PQ)), codec).read_bytes()
    assert b"hvc1" in content
    assert b"x265" not in content


def test_light_levels_of_hdr10_are_passed_on(tmp_path):
    plain = format_of("yuv420p10le", PQ)
    codec = codec_for(plain, lossless=False)
    options = dict(codec.options)
    options["x265-params"] += f":master-display={MASTERING}:max-cll=1000,400"
    first = read(
        write(tmp_path / "source.mp4", native_frames(plain), type(codec)(**{**vars(codec), "options": options}))
    )
    found = result_format(first[0], SIZE)
    assert found is not None
    assert (found.metadata.mastering_display, found.metadata.light_levels) == (MASTERING, "1000,400")
    assert found.notes(lossless=False) == ()
    assert "HDR10" in str(found.notes(lossless=True)[0])
    again = read(write(tmp_path / "again.mp4", native_frames(found), codec_for(found, lossless=False)))
    assert hdr_metadata(again[0]) == found.metadata


def test_eight_bit_rgb_stays_rgb_without_loss(tmp_path):
    wanted = format_of("rgb24", ColourTags(2, 2, 2, True))
    assert codec_for(wanted, lossless=True) == ffv1_rgb()
    frames = read(write(tmp_path / "a.mkv", native_frames(wanted), ffv1_rgb()))
    for source, frame in zip(native_frames(wanted), frames, strict=True):
        assert np.array_equal(source.to_ndarray(format="rgb24"), frame.to_ndarray(format="rgb24"))


def test_codecs_of_ordinary_results_are_the_known_ones():
    assert h264(False).pixel_format == "yuv420p" and h264(True).pixel_format == "yuv444p"
    assert h264(False).options == {"crf": "14", "preset": "fast", "x264-params": "mbtree=0"}
    assert ffv1_rgb().options == {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}


def test_what_players_do_not_take_is_refused():
    with pytest.raises(ValueError, match="yuv422p12le is not for players"):
        codec_for(ResultFormat("yuv", (2, 1), 12, BT709, odd_sides=False), lossless=False)
