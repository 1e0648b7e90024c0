"""Which files count as videos and as pictures, by their suffixes; which known kinds do not, and the way out of them.

Suffixes are compared in lower case.
"""

from __future__ import annotations

from pathlib import PurePath

# Suffix -> the FFmpeg demuxer that reads it; all of them are in PyAV's own builds.
VIDEO_DEMUXERS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".qt", ".f4v", ".3gp", ".3g2", ".mj2", ".ismv"), "mov"),
    **dict.fromkeys((".webm", ".mkv", ".mk3d"), "matroska"),
    **dict.fromkeys((".avi", ".divx", ".xvid"), "avi"),
    **dict.fromkeys((".ts", ".m2ts", ".mts", ".m2t", ".tp", ".trp"), "mpegts"),
    **dict.fromkeys((".mpg", ".mpeg", ".mpe", ".vob", ".m2p", ".mod", ".tod", ".evo"), "mpeg"),
    **dict.fromkeys((".m1v", ".m2v", ".mpv"), "mpegvideo"),
    **dict.fromkeys((".wmv", ".asf", ".dvr-ms"), "asf"),
    **dict.fromkeys((".ogv", ".ogg", ".ogm"), "ogg"),
    **dict.fromkeys((".dv", ".dif"), "dv"),
    **dict.fromkeys((".mjpeg", ".mjpg"), "mjpeg"),
    **dict.fromkeys((".h264", ".264", ".avc"), "h264"),
    **dict.fromkeys((".h265", ".265", ".hevc"), "hevc"),
    **dict.fromkeys((".rm", ".rmvb"), "rm"),
    ".flv": "flv",
    ".gif": "gif",
    ".apng": "apng",
    ".mxf": "mxf",
    ".gxf": "gxf",
    ".y4m": "yuv4mpegpipe",
    ".nut": "nut",
    ".ivf": "ivf",
    ".obu": "obu",
    ".wtv": "wtv",
}
VIDEO_SUFFIXES = tuple(VIDEO_DEMUXERS)

# Suffix -> kind: pictures of one folder are of one kind.
_PICTURE_KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    ".png": "PNG",
    ".webp": "WebP",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "Netpbm"),
    ".tga": "TGA",
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), "JPEG 2000"),
    ".avif": "AVIF",
    ".qoi": "QOI",
    ".sgi": "SGI",
    ".pcx": "PCX",
}
FRAME_SUFFIXES = tuple(_PICTURE_KINDS)
# What is in such files and how Pillow names it. Others are not even tried: some run programs to decode a picture.
PILLOW_FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "DIB", "PPM", "TGA", "JPEG2000", "AVIF", "QOI", "SGI", "PCX", "GIF"),
)

_RAW = (
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .raf .orf .rw2 .rwl .pef .srw .x3f .3fr .fff .iiq .erf .kdc .mrw .raw"
)
_UNSUPPORTED_PICTURES = {
    ".exr": "OpenEXR",
    **dict.fromkeys((".hdr", ".rgbe"), "Radiance HDR"),
    ".pfm": "float Netpbm",
    ".dpx": "DPX",
    ".cin": "Cineon",
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    ".jxl": "JPEG XL",
    **dict.fromkeys((".jxr", ".wdp", ".hdp"), "JPEG XR"),
    **dict.fromkeys((".psd", ".psb"), "Photoshop"),
    ".xcf": "GIMP",
    ".kra": "Krita",
    **dict.fromkeys((".svg", ".eps", ".ai", ".pdf"), "vector graphics"),
    **dict.fromkeys(_RAW.split(), "camera raw"),
}
_UNSUPPORTED_VIDEOS = {
    ".r3d": "RED raw",
    ".braw": "Blackmagic raw",
    **dict.fromkeys((".ari", ".arx"), "ARRI raw"),
    ".crm": "Canon raw",
    ".nev": "Nikon raw",
    ".mlv": "Magic Lantern raw",
    ".cine": "Phantom raw",
    **dict.fromkeys((".m3u8", ".mpd"), "a playlist, no video itself"),
}
_PICTURE_WAY_OUT = "convert to 16-bit PNG or TIFF"
_VIDEO_WAY_OUT = "convert to ProRes or H.264"


def suffix_of(path: PurePath) -> str:
    """The suffix in lower case."""
    return path.suffix.lower()


def picture_kind(path: PurePath) -> str | None:
    """`JPEG`, `PNG`, …: the kind of a picture that can be read, also of one that cannot; None: no picture."""
    suffix = suffix_of(path)
    return _PICTURE_KINDS.get(suffix) or _UNSUPPORTED_PICTURES.get(suffix)


def unsupported_kind(path: PurePath) -> str | None:
    """`OpenEXR (.exr) is not supported, convert to …`, or None where the suffix is no known unsupported kind."""
    suffix = suffix_of(path)
    if kind := _UNSUPPORTED_PICTURES.get(suffix):
        return f"{kind} ({suffix}) is not supported, {_PICTURE_WAY_OUT}"
    if kind := _UNSUPPORTED_VIDEOS.get(suffix):
        return f"{kind} ({suffix}) is not supported, {_VIDEO_WAY_OUT}"
    return None


def is_unsupported_picture(path: PurePath) -> bool:
    """Whether the suffix is that of a picture kind that is known and not read."""
    return suffix_of(path) in _UNSUPPORTED_PICTURES


def is_media(name: str) -> bool:
    """Whether a file's name is that of a video or a picture, supported or not."""
    suffix = suffix_of(PurePath(name))
    return any(
        suffix in known for known in (VIDEO_DEMUXERS, _PICTURE_KINDS, _UNSUPPORTED_PICTURES, _UNSUPPORTED_VIDEOS)
    )


def some_suffixes(suffixes: tuple[str, ...], most: int = 8) -> str:
    """The first ones for a message: `.mp4, .mov and 40 more`."""
    shown = ", ".join(suffixes[:most])
    return f"{shown} and {len(suffixes) - most} more" if len(suffixes) > most else shown
