import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from diffueraser_weights import write_diffueraser_weights
from embedded_support import Command
from prefect.client.schemas import State
from prefect.task_runners import ThreadPoolTaskRunner
from tests_support import CAPTION, write_propainter_weights
from tiny_vlms import write_tiny_vlm

from flows import caption_videos, lanes
from flows.command_line import parse
from flows.launch import AUTO_REFINE, Program
from flows.report import Summary, VideoSummary
from lib import model_loads
from lib.anchor import sd_inpaint
from lib.captioner.backend import CaptionerOptions, load_captioner
from lib.captioner.batch_folder import BatchFolder
from lib.captioner.jobs import run_job
from lib.captioner.judge_job import job_from_dict
from lib.removers import registry
from tasks import caption as caption_module


class CaptionerHere:
    """In place of the resident child: the captioner in this process."""

    starts, ready = 0, "here"

    def __init__(self, _python: Path, _project_root: Path, options: CaptionerOptions) -> None:
        self.captioner = load_captioner(options)

    def __enter__(self) -> "CaptionerHere":
        return self

    def __exit__(self, *_error: object) -> None: ...

    def ask(self, job: dict[str, Any], timeout: float) -> dict[str, Any]:
        return run_job(job_from_dict(job), self.captioner)


@pytest.fixture(autouse=True)
def end_commands() -> Iterator[None]:
    yield
    Command.end_all()


@pytest.fixture
def inline(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases run in threads and captions in this process: fast, and the same code otherwise."""

    def run_here(batch: BatchFolder, *_: Any) -> SimpleNamespace:
        state = caption_videos.caption_videos(str(batch.path), sys.executable, return_state=True)
        return SimpleNamespace(name="here", state=state)

    monkeypatch.setattr(lanes, "make_pool", lambda _gpu, _threads: ThreadPoolTaskRunner(max_workers=1))
    monkeypatch.setattr(caption_videos, "ResidentCaptioner", CaptionerHere)
    monkeypatch.setattr(caption_module, "ensure_caption_deployment", lambda: None)
    monkeypatch.setattr(caption_module, "run_caption_batch", run_here)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_propainter_weights(tmp_path_factory.mktemp("weights") / "propainter")


@pytest.fixture(scope="session")
def eraser_weights(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """All published folders: tiny networks, one of them a model that always says CAPTION; ProPainter's own below."""
    folder = write_diffueraser_weights(tmp_path_factory.mktemp("eraser_weights"))
    write_tiny_vlm(folder / "Qwen2.5-VL-7B-Instruct", says=CAPTION)
    (folder / "propainter").symlink_to(weights)
    return folder


@pytest.fixture(scope="module")
def fresh_models() -> None:
    """Forget what other tests loaded in this process, which counts the loads of each model."""
    registry._kept_remover.cache_clear()
    sd_inpaint._load.cache_clear()
    model_loads._loads.clear()


class Run:
    """One finished run of the flow."""

    def __init__(self, state: State[Any], output_dir: Path) -> None:
        self.state = state
        self.output_dir = output_dir
        self.summary = Summary.model_validate_json((output_dir / "summary.json").read_bytes())

    def video(self, name: str) -> VideoSummary:
        return next(video for video in self.summary.videos if video.name == name)

    def statuses(self) -> dict[tuple[str, str], str]:
        """(video, phase) -> status."""
        return {(v.name, phase.phase): phase.status for v in self.summary.videos for phase in v.phases}

    def executed(self) -> set[tuple[str, str]]:
        return {key for key, status in self.statuses().items() if status != "cached"}


Runner = Callable[..., Run]


@pytest.fixture
def run_flow(inline: None) -> Iterator[Runner]:
    """Run a script's flow with the given command-line words, in this process."""

    def run(words: list[str], program: Program = AUTO_REFINE) -> Run:
        settings, _ = parse(words, program.settings)
        settings.output_dir.mkdir(parents=True, exist_ok=True)
        return Run(program.flow(settings, return_state=True), settings.output_dir)

    yield run
