"""The frames of a video file as its packets announce them, found without decoding wherever that can be relied on."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from lib.video.container_size import promised_bytes
from lib.video.decode import DEFAULT_FPS, Findings, frame_rate, open_video, raw_frames
from lib.video.timeline import Timeline

if TYPE_CHECKING:
    from av.container import InputContainer

_KEPT = 256  # files whose listing is remembered
# Here a packet need not be a frame: fields in packets of their own, frames that are never shown, broken beginnings.
_UNRELIABLE_FORMATS, _UNRELIABLE_CODECS = ("mpegts", "mpeg", "mpegvideo", "h264", "hevc"), ("vp8",)
_STREAMED = ("mpegts", "mpeg")  # parts of these are lost on the way, and a gap in time is what is left
_TIMED = ("matroska", "flv", "mxf", "asf")  # their duration was measured, not derived from a number of frames
_GENEROUS = ("asf",)  # whole files of these may store more than there is
_LEAST_GAP = 1.75  # frames; soft telecine makes gaps of 1.5
_SLACK = Fraction(1, 20)  # seconds by which a stored duration may be rounded up
_UNTOLD = Fraction(3, 2)  # frames: the last one's packet need not tell how long it is
_TIGHTEST = Fraction(1, 1000)  # seconds: what Matroska rounds times to
_HIGHEST_RATE = 1000  # frames a second; more is a clock taken for a rate
_ABOUT = Fraction(1, 20)  # share by which a rate that a file tells may miss the mean of its frames' times
_PACKET_HEAD, _HEADERS = 16, 4096  # bytes that a packet and a file need besides pictures and sound
_LEAST_UNREAD = Fraction(1, 20)  # of a file's bytes
_DISORDER = 16  # frames; no decoder holds back more
_LONGEST_PAUSE = 10  # seconds in a stream; more is a jump of its clock


@dataclass(frozen=True)
class Listing:
    """All frames that a file announces, and what of them is missing in it."""

    timeline: Timeline  # of those that can be shown
    stamps: tuple[Fraction, ...] | None = None  # seconds in the file's own clock; None: frames are told by their order
    flagged: int = 0  # packets that the container itself calls corrupt
    leading: int = 0  # frames before the first key frame: of a file cut anywhere, and never shown
    missing: int = 0  # frames that were announced and are not in the file, at least
    truncation: str = ""  # what was promised and found where the file is shorter than its headers say


def list_frames(path: Path) -> Listing:
    """The listing of a video file; remembered as long as the file does not change.

    Raises:
        InputError: no video can be read from the file.
    """
    info = path.stat()
    return _list_frames(path, info.st_size, info.st_mtime_ns, info.st_ino)


@lru_cache(maxsize=_KEPT)
def _list_frames(path: Path, size: int, _mtime: int, _inode: int) -> Listing:
    packets = _Packets.read(path)
    count, times, fps, leading = packets.count, packets.times, packets.rates[0], packets.leading
    decode = packets.needs_decoding or leading > 0
    if decode:
        decoded, packets.broken = _decoded_times(path)
        leading = min(leading, max(count - len(decoded), 0))
        count, times = len(decoded), _continuous(decoded, fps) if _mostly_known(decoded) else None
    stamps = tuple(sorted(times)) if times else None
    shown = tuple(stamp - stamps[0] for stamp in stamps) if stamps else None
    truncation = _truncation(path, size)
    holes = shown is not None and packets.leaves_unread(min(size, promised_bytes(path) or size), _paused(shown))
    # Where nothing is broken, a gap in time is a pause in the recording.
    lossy = holes or (packets.format in _STREAMED and bool(packets.flagged or packets.broken))
    gaps = _lost_in_gaps(shown) if shown and lossy else 0
    fps = _plausible_rate(packets.rates, shown, packets.tick)
    varies = shown is not None and not _is_constant(shown, fps, packets.tick)
    missing = gaps + packets.lost_entries
    # In a whole file, the last of uneven frames may last long.
    doubtful = (varies and not holes) or packets.format in _GENEROUS
    if missing == gaps and (truncation or not doubtful):
        missing += packets.lost_duration(fps) or (packets.lost_frames(count, size, path) if truncation else 0)
    last = packets.last_duration or (_usual_gap(shown) if shown and varies else None)
    cut = bool(truncation or missing > gaps)
    timeline = Timeline(count, fps, shown if varies else None, last=last, cut=cut)
    return Listing(timeline, None if decode else stamps, packets.flagged, leading, missing, truncation)


@dataclass
class _Packets:
    """What one pass over a file's packets finds."""

    format: str
    codec: str
    rates: tuple[Fraction, ...]  # frames per second, as the file says or FFmpeg guesses; the best first
    tick: Fraction
    announced: int  # frames, by a header
    duration: Fraction | None  # seconds, by a header
    entries: int  # frames in the index
    beyond_file: int  # of these, frames whose bytes are not there
    count: int = 0
    flagged: int = 0
    broken: int = 0  # frames and packets that decoding found to be damaged
    end: Fraction = Fraction(0)  # of any stream
    read_bytes: int = 0  # in packets of all streams
    attached_bytes: int = 0
    shown_until: Fraction | None = None  # the video, by a header
    last: Fraction | None = None  # duration of the packet with the last frame
    first_key: Fraction | None = None  # time of the first frame that can be decoded by itself
    shown: list[Fraction | None] = field(default_factory=list)  # when each frame is shown
    decoded: list[Fraction | None] = field(default_factory=list)  # when each is to be decoded

    @classmethod
    def read(cls, path: Path) -> _Packets:
        from av.error import FFmpegError

        with open_video(path) as (container, stream):
            index, found = getattr(stream, "index_entries", ()), path.stat().st_size
            packets = cls(
                format=container.format.name.split(",")[0],
                codec=stream.codec_context.name,
                rates=(frame_rate(stream), *([Fraction(stream.guessed_rate)] if stream.guessed_rate else [])),
                tick=stream.time_base or Fraction(1, 1000),
                announced=stream.frames,
                duration=Fraction(container.duration, 1_000_000) if container.duration else None,
                entries=sum(entry.size > 0 for entry in index),
                beyond_file=sum(entry.pos >= found for entry in index),
            )
            if packets.format == "mov" and stream.duration and stream.time_base:
                packets.shown_until = ((stream.start_time or 0) + stream.duration) * stream.time_base
            packets.attached_bytes = sum(len(part.data) for part in getattr(container.streams, "attachments", ()))
            try:
                packets._pass_over(container, stream.index)
            except FFmpegError:
                packets.flagged += 1  # what comes after cannot be found
            return packets

    def _pass_over(self, container: InputContainer, index: int) -> None:
        latest = None
        for packet in container.demux():
            if not packet.size:
                continue
            base = packet.time_base
            self.read_bytes += packet.size + _PACKET_HEAD
            time, length = packet.pts if packet.pts is not None else packet.dts, packet.duration or 0
            if time is not None and base:
                self.end = max(self.end, (time + length) * base)
            if packet.stream_index != index or packet.is_discard:
                continue
            self.count += 1
            if packet.is_keyframe and self.first_key is None and time is not None and base:
                self.first_key = time * base
            self.flagged += packet.is_corrupt
            self.shown.append(None if packet.pts is None or not base else packet.pts * base)
            self.decoded.append(None if packet.dts is None or not base else packet.dts * base)
            if time is not None and base and (latest is None or time > latest):
                latest, self.last = time, length * base or None

    @property
    def times(self) -> list[Fraction] | None:
        """Seconds in the file's clock; None where packets do not tell them."""
        for stamps in (self.shown, self.decoded):
            known = [stamp for stamp in stamps if stamp is not None]
            if len(known) == self.count and len(set(known)) == self.count:
                return known
        return None

    @property
    def last_duration(self) -> Fraction | None:
        """Seconds that the last frame is shown. In mp4, packets that are not in showing order tell something else."""
        if self.shown_until is None or self.shown == self.decoded or self.times is None:
            return self.last
        left = self.shown_until - max(self.times)
        return left if left > 0 else self.last

    @property
    def leading(self) -> int:
        """Frames before the first that can be decoded by itself."""
        key = self.first_key
        return 0 if key is None else sum(time < key for time in self.times or ())

    @property
    def needs_decoding(self) -> bool:
        doubtful = any(stamp is not None for stamp in self.shown) and self.times is None
        return doubtful or self.format in _UNRELIABLE_FORMATS or self.codec in _UNRELIABLE_CODECS

    @property
    def lost_entries(self) -> int:
        """Frames that the index tells of and that are not there."""
        unfound = self.entries - self.count if self.format == "avi" else 0  # it lists nothing but what is shown
        return max(self.beyond_file, unfound)

    def leaves_unread(self, size: int, paused: Fraction) -> bool:
        """Whether bytes are in no packet where frames may be missing: the file is damaged there.

        Args:
            size: of the file in bytes.
            paused: seconds within the video for which a frame is on show longer than usual.
        """
        if self.format not in _TIMED or self.format in _GENEROUS or not self.duration:
            return False
        unread = Fraction(size - self.read_bytes - self.attached_bytes - _HEADERS, size)
        lost = paused + max(self.duration - self.end, 0)
        return unread > max(lost / self.duration / 2, _LEAST_UNREAD)

    def lost_duration(self, fps: Fraction) -> int:
        """Frames between where the file's packets end and where its stored duration says that they do."""
        if self.format not in _TIMED or self.duration is None or not self.count:
            return 0
        lost = self.duration - self.end
        return round(lost * fps) if lost > max(_SLACK, _UNTOLD / fps) else 0

    def lost_frames(self, count: int, size: int, path: Path) -> int:
        """Frames that a cut file lacks: by the header's number where that can be true, else by bytes."""
        if self.announced >= count and self.announced <= size:
            return self.announced - count
        if self.format in _TIMED and self.duration is not None:
            return 0
        promised = promised_bytes(path) or size
        return round(count * (promised - size) / max(size, 1))


def _plausible_rate(rates: tuple[Fraction, ...], times: tuple[Fraction, ...] | None, tick: Fraction) -> Fraction:
    """The rate at which a clip's frames really come; where that changes, their mean."""
    if times is None or len(times) < 2:
        return rates[0] if rates[0] <= _HIGHEST_RATE else DEFAULT_FPS
    mean = (len(times) - 1) / (times[-1] - times[0])
    usual = Fraction(max(round(mean), 1)), Fraction(max(round(mean * Fraction(1001, 1000)), 1) * 1000, 1001)
    nearest = sorted(usual, key=lambda rate: abs(rate - mean)) if _is_fine(tick, mean) else []
    for rate in (*rates, *nearest):
        if _is_constant(times, rate, tick):
            return rate
    return rates[0] if abs(rates[0] / mean - 1) <= _ABOUT else mean.limit_denominator(1001)


def _mostly_known(times: list[Fraction | None]) -> bool:
    """Whether times tell anything: in program streams, several frames of modern codecs share one."""
    return 2 * sum(time is not None for time in times) > len(times)


def _decoded_times(path: Path) -> tuple[list[Fraction | None], int]:
    """Times of the frames that are decoded, and how much of them is corrupt or cannot be decoded."""
    findings = Findings()
    for _ in raw_frames(path, findings=findings):
        pass
    return findings.stamps, findings.corrupt + findings.undecodable


def _continuous(times: list[Fraction | None], fps: Fraction) -> list[Fraction]:
    """Times in one clock: it goes on after a jump (recordings joined to one file) and where a time is unknown."""
    joined: list[Fraction] = []
    offset, latest = Fraction(0), None
    for time in _counted_back(times, fps):
        follows = time or Fraction(0) if latest is None else latest + 1 / fps
        if time is None:
            joined.append(follows)
        else:
            # Behind a lost frame a few come out of order: that is no jump back.
            if latest is not None and not latest - _DISORDER / fps <= time + offset < latest + _LONGEST_PAUSE:
                offset = follows - time
            joined.append(time + offset)
        latest = joined[-1] if latest is None else max(latest, joined[-1])
    return _rising(joined)


def _counted_back(times: list[Fraction | None], fps: Fraction) -> list[Fraction | None]:
    """The same times; the first ones, where they are unknown, by the first that is known."""
    unknown = next((index for index, time in enumerate(times) if time is not None), 0)
    first = times[unknown] if times else None
    return times if first is None else [*(first - (unknown - n) / fps for n in range(unknown)), *times[unknown:]]


def _rising(times: list[Fraction]) -> list[Fraction]:
    """The same times in order, each later than the one before."""
    rising: list[Fraction] = []
    for time in sorted(times):
        rising.append(max(time, rising[-1] + _TIGHTEST) if rising else time)
    return rising


def _is_constant(times: tuple[Fraction, ...], fps: Fraction, tick: Fraction) -> bool:
    """Whether frame n is shown at n / fps, but for rounding."""
    slack = max(tick, _TIGHTEST) * Fraction(3, 2) if _is_fine(tick, fps) else tick / 8
    return all(abs(time - index / fps) <= slack for index, time in enumerate(times))


def _is_fine(tick: Fraction, fps: Fraction) -> bool:
    """Whether a clock tells a frame that was left out from rounding; AVI's counts whole frames."""
    return 2 * max(tick, _TIGHTEST) <= 1 / fps


def _lost_in_gaps(times: tuple[Fraction, ...]) -> int:
    gaps, usual = [after - before for before, after in pairwise(times)], _usual_gap(times)
    return sum(round(gap / usual) - 1 for gap in gaps if gap > usual * Fraction(_LEAST_GAP)) if usual else 0


def _paused(times: tuple[Fraction, ...]) -> Fraction:
    """Seconds for which frames are on show longer than most."""
    usual = _usual_gap(times)
    return sum((after - before - usual for before, after in pairwise(times) if after - before > usual), Fraction(0))


def _usual_gap(times: tuple[Fraction, ...]) -> Fraction:
    gaps = sorted(after - before for before, after in pairwise(times))
    return gaps[len(gaps) // 2] if gaps else Fraction(0)


def _truncation(path: Path, size: int) -> str:
    promised = promised_bytes(path)
    return "" if promised is None or promised <= size else f"found {size} bytes, its headers promise {promised}"
