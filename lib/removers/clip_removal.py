"""One removal from files to files: read, size, remove, compose, write. The same for every engine and phase."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from lib.anchor.base import AnchorInpainter
from lib.mask_tracks import read_mask_track
from lib.memory import check_memory
from lib.notes import Note, check_notes, input_note
from lib.removers.base import RemovalRequest, RemovalResult, Remover, ignore_progress
from lib.removers.products import NativeSource, Products, Source, separate_prior
from lib.settings import InputRules, Processing
from lib.video.background import BackgroundWriter
from lib.video.clip import probe_clip, read_clip
from lib.video.datasets import Video
from lib.video.masks import dilate
from lib.video.sizes import crop_back, fit_longer_side, pad_to_multiple, processing_size, resize_frames, resize_masks
from lib.video.sources import left_behind

_MIXED_FIELDS = input_note("interlaced and scaled to another height, which mixes its two fields; give --deinterlace")


@dataclass(frozen=True)
class Guidance:
    """What is added to a plain removal; as in `RemovalRequest`."""

    anchor: AnchorInpainter | None = None
    anchor_frame_idx: int = 0
    anchor_prompt: str = ""
    anchor_n_prompt: str = ""
    prompt: str = ""
    n_prompt: str = ""
    text_guidance_scale: float = 0.0


@dataclass(frozen=True)
class GivenPrior:
    """What the engine's `prior` made of a request, now or in an earlier run."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB, of the request's size
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)  # stage -> wall seconds; empty where it was there


PriorMaker = Callable[[RemovalRequest, Fraction], GivenPrior]  # from frames, masks, seed and name; frames a second


@dataclass
class RemovalOutcome:
    """Files that were written, and what is worth knowing about the making."""

    paths: list[Path] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, float | int | str] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)


def remove_from_clip(
    video: Video,
    folder: Path,
    remover: Remover,
    processing: Processing,
    guidance: Guidance | None = None,
    *,
    rules: InputRules | None = None,
    make_prior: PriorMaker | None = None,
    lossless: bool = False,
    report: Callable[[float], None] = ignore_progress,
) -> RemovalOutcome:
    """Remove the masked object from one video and write `<folder>/<engine>.mp4` (and the anchor picture).

    The result has the source's size unless `processing` says otherwise, its frame times, format, sound and words.
    Where the engine starts from another one's result, that one is written beside it.

    Args:
        rules: which doubts about the files are errors; None: as by default.
        make_prior: gives the result of `remover.prior`; None: the engine makes it by itself.

    Raises:
        InputError: the video or its masks cannot be used, or the clip does not fit into memory.
    """
    outcome = RemovalOutcome()
    with outcome.timed("read"):
        source = _read_source(video, processing, rules or InputRules(), remover.work_copies, outcome)
    request = RemovalRequest(
        resize_frames(source.frames, source.size), source.masks, seed=processing.seed, video_name=video.name
    )
    if make_prior:
        with outcome.timed("prior"):
            given = make_prior(request, source.fps)
        request = dataclasses.replace(request, prior=given.frames)
        outcome.facts |= given.facts
        outcome.seconds |= _rounded("prior", given.seconds)
    products = Products(folder, source, processing.feather)
    # Encoding needs no GPU: clips are written while the engine works.
    with ThreadPoolExecutor(max_workers=1) as aside, products.clip_as_it_is_made(remover) as writer:
        beside = separate_prior(remover)
        early = aside.submit(products.clip, request.prior, beside) if beside and request.prior is not None else None
        with outcome.timed("remove"):
            result = _remove(request, remover, guidance or Guidance(), report, writer)
        with outcome.timed("write"):
            outcome.notes += writer.complete()
            outcome.paths.append(writer.path)
            _write_more(products, remover, result, lossless, outcome)
            if early:
                outcome.paths.append(early.result()[0])
            elif beside and result.prior is not None:
                outcome.paths.append(products.clip(result.prior, beside)[0])
    outcome.seconds |= _rounded("remove", result.seconds)
    outcome.facts |= result.facts
    outcome.notes += [*products.format_notes, *map(Note, result.notes)]
    return outcome


def _rounded(part: str, seconds: Mapping[str, float]) -> dict[str, float]:
    return {f"{part}.{stage}": round(value, 3) for stage, value in seconds.items()}


def _read_source(
    video: Video, processing: Processing, rules: InputRules, work_copies: float, outcome: RemovalOutcome
) -> Source:
    info, limit, deinterlace = probe_clip(video.video_path), processing.video_length, processing.deinterlace
    check_memory(info, processing, work_copies)
    clip = read_clip(video.video_path, limit, deinterlace=deinterlace, accept_damaged=rules.accept_damaged)
    track = read_mask_track(clip.info, video.mask_path, processing, clip.positions)
    outcome.notes += clip.notes + track.notes
    result_size = processing_size(clip.size, processing.height, processing.width)
    mixed = info.fields is not None and not deinterlace and result_size[0] != clip.size[0]
    outcome.notes += [_MIXED_FIELDS] if mixed else []
    check_notes(video.video_path, outcome.notes, strict=rules.strict_inputs)
    work_size = fit_longer_side(result_size, processing.max_img_size)
    masks = dilate(resize_masks(track.masks, work_size), processing.mask_dilation_iter)
    shown, count = info.presentation(clip.positions).scaled(clip.size, result_size), len(clip.frames)
    native = None
    if processing.result_format == "source":
        native = NativeSource.of(info, result_size, deinterlace=deinterlace)
    outcome.facts |= {
        "frames": count,
        "height": result_size[0],
        "width": result_size[1],
        "processing_height": work_size[0],
        "processing_width": work_size[1],
        "fps": str(clip.fps),
        "hole_share": round(float(masks.mean()), 5),
    }
    file = video.video_path if video.video_path.is_file() else None
    if file and (left := left_behind(file)):
        outcome.facts["not_carried"] = ", ".join(left)
    return Source(
        resize_frames(clip.frames, result_size),
        masks,
        shown.whole_frames if deinterlace or mixed else shown,
        file,
        until=shown.end(count) if limit > 0 and count < info.frame_count else None,
        native=native,
    )


def _remove(
    request: RemovalRequest,
    remover: Remover,
    guidance: Guidance,
    report: Callable[[float], None],
    writer: BackgroundWriter,
) -> RemovalResult:
    """The engine's result at the request's size; all its frames are put into the writer."""
    frames, masks, crop = pad_to_multiple(request.frames, request.masks, remover.size_multiple)
    prior, delivered = request.prior, 0

    def deliver(part: np.ndarray) -> None:
        nonlocal delivered
        writer.put(crop_back(part, crop))
        delivered += len(part)

    request = dataclasses.replace(
        request,
        frames=frames,
        masks=masks,
        prior=None if prior is None else pad_to_multiple(prior, request.masks, remover.size_multiple)[0],
        anchor=guidance.anchor.for_video(request.video_name) if guidance.anchor else None,
        anchor_frame_idx=min(guidance.anchor_frame_idx, len(frames) - 1),
        anchor_prompt=guidance.anchor_prompt,
        anchor_n_prompt=guidance.anchor_n_prompt,
        prompt=guidance.prompt,
        n_prompt=guidance.n_prompt,
        text_guidance_scale=guidance.text_guidance_scale,
        # What the object hides is not needed any more, and a second copy of a long clip is a lot.
        may_overwrite=True,
        report=report,
        deliver=deliver,
    )
    result = remover.remove(request)
    result.frames = crop_back(result.frames, crop)
    writer.put(result.frames[delivered:])
    if result.prior is not None:
        result.prior = crop_back(result.prior, crop)
    if result.anchor_frame is not None:
        result.anchor_frame = crop_back(result.anchor_frame[None], crop)[0]
    if guidance.anchor:
        result.notes.extend(guidance.anchor.notes)
    return result


def _write_more(
    products: Products, remover: Remover, result: RemovalResult, lossless: bool, outcome: RemovalOutcome
) -> None:
    if lossless:
        path, notes = products.lossless(result.frames, remover)
        outcome.paths.append(path)
        outcome.notes += [note for note in notes if note not in outcome.notes]
    if result.anchor_frame is not None:
        outcome.paths.append(products.anchor(result.anchor_frame))
