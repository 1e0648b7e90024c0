"""The page `report/index.html` of a run, made of its summary and of the files that it left.

Everything comes from files, so that a run whose parts were done by other boxes has the same page.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.report import Summary, VideoSummary
from flows.run_page import changed_settings, local_time, result_file
from lib.captioner.prompt_file import load_prompt_mapping
from lib.errors import InputError, attempt
from lib.metrics.data_set import DataSetScores, data_set_scores
from lib.metrics.definitions import METRICS, Metric
from lib.metrics.scores import Scores, read_scores
from lib.notes import Note
from lib.provenance import FILE_NAME as PROVENANCE_FILE
from lib.records import Status
from lib.removers.products import ANCHOR_FILE
from lib.report.gallery import Clip, Gallery, GalleryVideo, Variant, VariantResult, write_gallery
from lib.report.playable import copy_to_play
from lib.settings import AutoRefineSettings, RunSettings
from lib.video.clip import ClipInfo, probe_clip
from lib.video.decode import DEFAULT_FPS
from tasks.jobs import seen_picture
from tasks.result_jobs import FEATURES_FILE, SCORES_FILE, preview_folder

REPORT_FILE = Path("report", "index.html")
RESULT = Variant("result", "Result")
_MEASURED = ("refine", "remove")


def write_report(summary: Summary) -> Path:
    """Write the page below the output directory."""
    settings = summary.settings
    made = {video.name: _result_of(video, settings) for video in summary.videos}
    data_set = scores_of_set(made.values())
    gallery = Gallery(
        title=settings.output_dir.name,
        finished_at=local_time(datetime.fromisoformat(summary.finished_at)),
        seconds=summary.seconds,
        videos=[gallery_video(video, settings, [made[video.name]]) for video in summary.videos],
        variants=[RESULT],
        metrics=shown_metrics(made.values(), data_set),
        means={RESULT.key: data_set.means},
        unavailable=labelled(data_set.unavailable),
        settings=changed_settings(settings),
        links=_links(settings.output_dir),
        remarks=data_set.notes,
    )
    return write_gallery(gallery, settings.output_dir / REPORT_FILE)


def data_set_means(summary: Summary) -> dict[str, float]:
    """The numbers of all results of a run together."""
    return scores_of_set(_result_of(video, summary.settings) for video in summary.videos).means


def gallery_video(video: VideoSummary, settings: RunSettings, results: list[VariantResult]) -> GalleryVideo:
    """A video of the summary with what is known of its source and its caption; whatever its files are, it has a row."""
    made = attempt(lambda: _gallery_video(video, settings, results), video.name)
    if not isinstance(made, InputError):
        return made
    notes = [*video.notes, _not_shown(made)]
    return GalleryVideo(video.name, video.status, video.phase, video.reason, results=results, notes=notes)


def _not_shown(error: InputError) -> Note:
    return Note(f"not all of this can be shown: {error}")


def _gallery_video(video: VideoSummary, settings: RunSettings, results: list[VariantResult]) -> GalleryVideo:
    media = preview_folder(settings.output_dir, video.name)
    coarse = settings.output_dir / "phase1" / video.name / f"{settings.engine.engine}.mp4"
    clips = [Clip("source", media / "source.mp4"), Clip("mask", media / "mask.mp4")]
    clips.append(Clip("coarse", coarse, copy_to_play(settings.output_dir, video.name, coarse)))
    caption = _caption_of(video.name, settings)
    frame = seen_picture(caption[0]) if caption else None
    said = caption[1] if caption else {}
    clock = _clock([*(result.result for result in results if result.result), media / "source.mp4"])
    return GalleryVideo(
        name=video.name,
        status=video.status,
        phase=video.phase if video.reason else "",
        reason=video.reason,
        thumbnail=_there(media / "thumbnail.jpg"),
        clips=[clip for clip in clips if clip.file.is_file()],
        caption=video.prompt or str(said.get("prompt") or ""),
        caption_source=str(said.get("prompt_source") or ""),
        caption_flags=[str(flag) for flag in said.get("prompt_flags") or []],
        caption_frame=_there(frame) if frame else None,
        results=results,
        notes=video.notes,
        **clock,
    )


def result_from_files(
    variant: str, result: Path, name: str, status: Status, settings: RunSettings, **more: Any
) -> VariantResult:
    """What the files of one of a video's results say of it, as far as they can be read.

    Args:
        name: of the video.
        more: other fields of the result.
    """
    known = attempt(lambda: _known_of(result), result)
    if isinstance(known, InputError):
        more, known = {**more, "notes": [*more.get("notes", ()), _not_shown(known)]}, {}
    there = _there(result)
    copy = attempt(lambda: copy_to_play(settings.output_dir, name, result), result) if there else None
    playable = None if isinstance(copy, InputError) else copy
    return VariantResult(variant, status, result=there, playable=playable, **{**known, **more})


def _known_of(result: Path) -> dict[str, Any]:
    folder = result.parent
    provenance = read_provenance(folder)
    scores = _scores(result.with_name(SCORES_FILE))
    job = provenance.get("job") or {}
    facts = provenance.get("facts") or {}
    return {
        "prompt": str(job.get("prompt") or ""),
        "anchor": _there(folder / ANCHOR_FILE),
        "peak_memory_bytes": provenance.get("peak_memory_bytes"),
        "values": scores.values if scores else {},
        "unavailable": scores.unavailable if scores else {},
        "not_carried": str(facts.get("not_carried") or ""),
    }


def _result_of(video: VideoSummary, settings: RunSettings) -> VariantResult:
    path = settings.output_dir / result_file(settings, video.name)
    made = any(phase.phase in _MEASURED and phase.status in ("done", "cached") for phase in video.phases)
    if not made:
        return VariantResult(RESULT.key, video.status, seconds=_seconds(video))
    return result_from_files(
        RESULT.key,
        path,
        video.name,
        video.status,
        settings,
        seconds=_seconds(video),
        judgement=video.judgement,
        files=[settings.output_dir / file for file in dict.fromkeys(video.paths)],
    )


def scores_of_set(results: Iterable[VariantResult]) -> DataSetScores:
    """The numbers of all results together, by their files."""
    paths = [result.result for result in results if result.result]
    scores = {str(path): found for path in paths if (found := _scores(path.with_name(SCORES_FILE)))}
    features = {str(path): path.with_name(FEATURES_FILE) for path in paths}
    having = {name: path for name, path in features.items() if path.is_file()}
    means = attempt(lambda: data_set_scores(scores, having), "the means over the videos")
    return DataSetScores(notes=(f"No means: {means}",)) if isinstance(means, InputError) else means


def shown_metrics(results: Iterable[VariantResult], data_set: DataSetScores) -> list[Metric]:
    """Those that any result has."""
    having = {key for result in results for key in result.values} | set(data_set.means)
    return [metric for key, metric in METRICS.items() if key in having]


def labelled(unavailable: Mapping[str, str]) -> dict[str, str]:
    """Reasons by the metrics' labels."""
    return {METRICS[key].label if key in METRICS else key: why for key, why in unavailable.items()}


def read_provenance(folder: Path) -> dict[str, Any]:
    """What a result's folder says of its making; nothing if it says nothing that can be read."""
    try:
        found = json.loads((folder / PROVENANCE_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _scores(path: Path) -> Scores | None:
    try:
        return read_scores(path)
    except InputError:  # not measured
        return None


def _caption_of(name: str, settings: RunSettings) -> tuple[Path, Mapping[str, Any]] | None:
    if not isinstance(settings, AutoRefineSettings):
        return None
    path = settings.prompt_cache_dir / f"{name}.yaml"
    try:
        return path, load_prompt_mapping(path)
    except (InputError, OSError):
        return path, {}


def _clock(clips: Iterable[Path]) -> dict[str, Any]:
    """Rate, frames and uneven times of what is played, by the first clip that can be read."""
    for path in clips:
        info = attempt(lambda path=path: probe_clip(path), path)
        if isinstance(info, InputError):
            continue
        return {"fps": float(info.fps), "frames": info.frame_count, "times": _uneven_times(info)}
    return {"fps": float(DEFAULT_FPS), "frames": 0}


def _uneven_times(info: ClipInfo) -> list[float]:
    """Seconds at which each frame starts and the last one ends; none for frames that last alike."""
    shown = info.presentation(info.positions())
    if shown.times is None:
        return []
    return [round(float(time), 4) for time in (*shown.times, shown.end(info.frame_count))]


def _seconds(video: VideoSummary) -> dict[str, float]:
    return {phase.phase: phase.seconds for phase in video.phases if phase.seconds}


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _links(output_dir: Path) -> dict[str, Path]:
    named = {"summary": "summary.json", "captions": "caption_sheet.html", "result folder": "."}
    return {label: output_dir / name for label, name in named.items() if (output_dir / name).exists()}
