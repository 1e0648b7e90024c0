"""ICC profiles made by code: three primaries, a white and a gamma."""

import struct

D65_TO_D50 = (
    (1.0478112, 0.0228866, -0.0501270),
    (0.0295424, 0.9904844, -0.0170491),
    (-0.0092345, 0.0150436, 0.7521316),
)
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D50 = (0.9642, 1.0, 0.8249)


def matrix_profile(primaries, gamma: float, name: str) -> bytes:
    """A display profile (version 2) of chromaticities (x, y) of red, green and blue on D65."""
    columns = _columns(primaries)
    tags = {b"desc": _text(name), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50)}
    tags |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, columns), strict=True))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma))
    return _profile(b"RGB ", tags)


def gray_profile(gamma: float, name: str = "gray") -> bytes:
    tags = {b"desc": _text(name), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50), b"kTRC": _gamma(gamma)}
    return _profile(b"GRAY", tags)


def inks_profile(name: str = "inks") -> bytes:
    """A CMYK profile of two grid points: Lab is that of paper, and black wherever there is any full ink but yellow."""
    table = b""
    for corner in range(16):  # the first ink changes slowest
        cyan, magenta, yellow, black = (bool(corner & 8), bool(corner & 4), bool(corner & 2), bool(corner & 1))
        light = 0 if black or cyan or magenta else 255
        table += bytes((light, 128, 228 if yellow and light else 128))
    linear = bytes(range(256))
    matrix = b"".join(_s15(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + linear * 4 + table + linear * 3
    tags = {b"desc": _text(name), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50), b"A2B0": lut, b"A2B1": lut}
    return _profile(b"CMYK", tags, kind=b"prtr", connection=b"Lab ")


def adobe_to_srgb(value: tuple[int, int, int]) -> tuple[int, ...]:
    """What an AdobeRGB colour is in sRGB by the formulas, 0 to 255, clipped."""
    linear = [(part / 255) ** (563 / 256) for part in value]
    xyz = [
        sum(column[row] * part for column, part in zip(_columns(ADOBE_RGB), linear, strict=True)) for row in range(3)
    ]
    inverse = _inverse(_rows(_columns(SRGB)))
    found = [sum(entry * part for entry, part in zip(row, xyz, strict=True)) for row in inverse]
    return tuple(round(255 * _encode(min(max(part, 0), 1))) for part in found)


def _encode(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def _columns(primaries):
    """XYZ on D50 of each primary at full strength."""
    plain = [(x / y, 1.0, (1 - x - y) / y) for x, y in primaries]
    white = (0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290)
    weights = [sum(a * b for a, b in zip(row, white, strict=True)) for row in _inverse(_rows(plain))]
    scaled = [tuple(part * weight for part in column) for column, weight in zip(plain, weights, strict=True)]
    return [tuple(sum(a * b for a, b in zip(row, column, strict=True)) for row in D65_TO_D50) for column in scaled]


def _rows(columns):
    return [tuple(column[row] for column in columns) for row in range(3)]


def _inverse(m):
    (a, b, c), (d, e, f), (g, h, i) = m
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    cofactors = [
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    ]
    return [tuple(part / determinant for part in row) for row in cofactors]


def _profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, kind, space, connection)
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + b"".join(map(_s15, D50))
    return header.ljust(128, b"\0") + table + body


def _text(name: str) -> bytes:
    content = name.encode("ascii") + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(content)) + content + bytes(4 + 4 + 2 + 1 + 67)


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_s15, values))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + bytes(2)


def _s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


ADOBE = matrix_profile(ADOBE_RGB, 563 / 256, "Adobe-like")
