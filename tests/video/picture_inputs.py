"""Pictures that Pillow cannot write, and how pictures were read before profiles and transparency counted."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageOps


def as_before(path):
    """How frames were read before profiles and transparency counted."""
    with Image.open(path) as image:
        image.load()
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I"):
            turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
        return np.array(turned.convert("RGB"))


def save_deep_png(path, values, *chunks):
    """A PNG of 16 bits, which Pillow cannot write in colour: (H, W, 1 to 4)."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    content = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def save_tiff(path, values, photometric, *, planar=False, signed=False, depth=None, sample_format=1):
    """A TIFF file without compression: (H, W, channels) of any integer or float type, or packed 12 bits."""
    height, width, channels = values.shape
    data = np.moveaxis(values, -1, 0).tobytes() if planar else values.tobytes()
    if depth == 12:
        pairs = values.reshape(-1, 2).astype(np.uint32)
        packed = (pairs[:, 0] << 12) | pairs[:, 1]
        data = np.stack([packed >> 16, packed >> 8, packed], axis=-1).astype(np.uint8).tobytes()
    bits = depth or values.itemsize * 8
    extra = struct.pack(f"<{channels}H", *[bits] * channels)
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, bits if channels == 1 else 8),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 400),
        (277, 3, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
        (284, 3, 1, 2 if planar else 1),
        (339, 3, 1, 2 if signed else sample_format),
    ]
    if planar:
        each = len(data) // channels
        offsets = struct.pack(f"<{channels}I", *(400 + each * index for index in range(channels)))
        counts = struct.pack(f"<{channels}I", *[each] * channels)
        extra += bytes(8 - len(extra)) + offsets + counts
        entries[5], entries[8] = (273, 4, channels, 16), (279, 4, channels, 16 + 4 * channels)
    extra = b"II*\0" + struct.pack("<I", 100) + extra
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    content = extra.ljust(100, b"\0") + struct.pack("<H", len(entries)) + table + bytes(4)
    path.write_bytes(content.ljust(400, b"\0") + data)
