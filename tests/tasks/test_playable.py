"""What the report plays: copies of results that browsers do not play, and previews that keep step with results."""

from fractions import Fraction

import av
import numpy as np
import pytest
from odd_clips import FRAMES, HLG, SIZE, write_masks, write_video
from tests_support import moving_square

from lib.errors import InputError
from lib.removers.clip_removal import remove_from_clip
from lib.removers.registry import make_remover
from lib.report.playable import copy_to_play, needs_copy
from lib.settings import Engine, InputRules, Processing
from lib.video.clip import iter_frames, probe_clip, read_clip
from lib.video.datasets import Video
from tasks.playable import playable
from tasks.preview import preview
from tasks.result_jobs import PlayableJob, PreviewJob

UNEVEN = [0, 40, 80, 160, 200, 240, 400, 440, 480, 520, 560, 1000]  # ms


def removal(tmp_path, processing=Processing(), rules=None, **clip):  # noqa: B008 (frozen)
    """A video of that kind and the engine's result."""
    video = Video(
        name="bear",
        video_path=write_video(tmp_path / "in" / "bear.mp4", **clip),
        mask_path=write_masks(tmp_path / "masks"),
    )
    return video, removed(tmp_path, video, processing, rules)


def removed(tmp_path, video, processing, rules=None):
    engine = make_remover(Engine(engine="propagation"), None, None)
    outcome = remove_from_clip(video, tmp_path / "final" / "bear", engine, processing, rules=rules)
    return outcome.paths[0]


def copy_of(tmp_path, video, result):
    job = PlayableJob(video=video, output_dir=tmp_path, result_key="k", result_path=result)
    playable.fn(job)
    return job.path


def previewed(tmp_path, video, processing):
    job = PreviewJob(
        video=video, output_dir=tmp_path, video_fingerprint="v", mask_fingerprint="m", processing=processing
    )
    preview.fn(job)
    return job


def times(path):
    info = probe_clip(path)
    return [info.timeline.time(index) for index in range(info.frame_count)], info.timeline.duration


def smooth():
    """Slowly changing colours, another level in each frame: half the resolution of chroma does as well."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    plane = np.stack([60 + rows, 60 + columns, 150 - rows], axis=-1)
    return np.stack([plane + 6 * index for index in range(FRAMES)]).astype(np.uint8)


def look(path):
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        return context.name, context.pix_fmt, context.width, context.height


DEEP = {"pixel_format": "yuv422p10le", "milliseconds": UNEVEN, "sample_aspect": Fraction(4, 3)}
ODD = {"pixel_format": "yuv444p", "frames": moving_square(1, FRAMES, 65, 97)[0]}


@pytest.mark.parametrize(
    "clip",
    [DEEP, {"codec": "libx265", "pixel_format": "yuv420p10le", "tags": HLG}, {"pixel_format": "yuv444p"}],
    ids=["10 bit 4:2:2", "HLG", "4:4:4"],
)
def test_what_browsers_do_not_play_gets_a_copy_in_step_with_the_previews(tmp_path, clip):
    video, result = removal(tmp_path, **clip, frames=smooth())
    assert needs_copy(result)
    assert copy_to_play(tmp_path, "bear", result) is None
    copy = copy_of(tmp_path, video, result)
    assert copy_to_play(tmp_path, "bear", result) == copy == tmp_path / "report" / "media" / "bear" / "result.mp4"
    assert look(copy) == ("h264", "yuv420p", SIZE[1], SIZE[0])
    assert not needs_copy(copy)
    assert times(copy) == times(result)
    assert probe_clip(copy).sample_aspect == probe_clip(result).sample_aspect
    shown = previewed(tmp_path, video, Processing())
    assert times(shown.source) == times(shown.mask) == times(copy)
    assert probe_clip(shown.source).sample_aspect == probe_clip(copy).sample_aspect
    shades = [
        np.abs(one.astype(int) - other) for one, other in zip(iter_frames(copy), iter_frames(result), strict=True)
    ]
    assert np.mean(shades) < 2  # as a usual display shows them


def test_uneven_times_are_the_sources_own(tmp_path):
    video, result = removal(tmp_path, **DEEP)
    starts, _ = times(copy_of(tmp_path, video, result))
    assert starts == [Fraction(time, 1000) for time in UNEVEN]


def test_odd_sides_become_even(tmp_path):
    masks = moving_square(1, FRAMES, 65, 97)[1]
    source = write_video(tmp_path / "in" / "bear.mp4", **ODD)
    mask_path = write_video(tmp_path / "masks.mp4", frames=np.repeat(masks[..., None], 3, 3), pixel_format="yuv444p")
    video = Video(name="bear", video_path=source, mask_path=mask_path)
    result = removed(tmp_path, video, Processing())
    assert look(result) == ("h264", "yuv444p", 97, 65)
    assert look(copy_of(tmp_path, video, result)) == ("h264", "yuv420p", 96, 64)
    shown = previewed(tmp_path, video, Processing())
    assert look(shown.source) == look(shown.mask) == ("h264", "yuv420p", 96, 64)


def test_interlaced_results_are_played_as_whole_frames(tmp_path):
    video, result = removal(tmp_path, options={"x264-params": "tff=1"}, field_order=2)
    assert probe_clip(result).top_field_first is not None
    copy = copy_of(tmp_path, video, result)
    assert probe_clip(copy).top_field_first is None
    assert times(copy) == times(result)


def test_plain_results_are_played_themselves(tmp_path):
    _, result = removal(tmp_path)
    assert not needs_copy(result)
    stale = tmp_path / "report" / "media" / "bear" / "result.mp4"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier result")
    assert copy_to_play(tmp_path, "bear", result) is None


def test_a_copy_that_fails_leaves_no_older_one(tmp_path):
    video, result = removal(tmp_path, pixel_format="yuv420p10le")
    copy = copy_of(tmp_path, video, result)
    result.write_bytes(b"no video")
    assert not needs_copy(result)
    with pytest.raises(InputError, match=r"propagation\.mp4"):
        copy_of(tmp_path, video, result)
    assert not copy.exists()


@pytest.mark.parametrize("limit", [-1, 8])
def test_previews_show_the_frames_that_a_removal_takes_of_a_damaged_file(tmp_path, limit):
    processing = Processing(video_length=limit)
    path = write_video(tmp_path / "in" / "bear.avi", codec="mjpeg", pixel_format="yuvj420p")
    video = Video(name="bear", video_path=path, mask_path=write_masks(tmp_path / "masks"))
    spoil(path, frame=3)
    clip = read_clip(path, limit, accept_damaged=True)
    assert len(clip.frames) == (FRAMES if limit < 0 else limit) - 1
    result = removed(tmp_path, video, processing, InputRules(accept_damaged=True))
    shown = previewed(tmp_path, video, processing)
    assert times(shown.source)[0] == times(shown.mask)[0] == times(result)[0]
    pairs = zip(iter_frames(shown.source), clip.frames, strict=True)
    assert max(np.abs(one.astype(int) - other).mean() for one, other in pairs) < 12


def spoil(path, frame):
    """Make one frame's bytes undecodable."""
    content = bytearray(path.read_bytes())
    at = -1
    for _ in range(frame + 1):
        at = content.index(b"\xff\xd8", at + 1)
    end = content.index(b"\xff\xd8", at + 1)
    content[at : end - 16] = bytes(end - 16 - at)
    path.write_bytes(content)


def test_a_preview_that_fails_leaves_nothing_of_other_inputs(tmp_path):
    video, _ = removal(tmp_path)
    shown = previewed(tmp_path, video, Processing())
    assert shown.mask.is_file()
    for mask in video.mask_path.iterdir():
        mask.write_bytes(b"no picture")
    with pytest.raises(InputError):
        previewed(tmp_path, video, Processing())
    assert not shown.mask.exists()
    assert not shown.thumbnail.exists()
