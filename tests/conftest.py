import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests_support import Dataset

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
# Test processes share the cores: threads of one that wait for another's would take twice the time. Not in the process
# that only hands out the tests: the others inherit its environment, and theirs would count as given.
if PROCESSES := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // int(PROCESSES), 1)))

ROOT = Path(__file__).resolve().parents[1]
# Minutes each, mostly waiting: they start first, so that no process is left alone with them at the end.
LONG_FILES = frozenset(
    f"test_{name}.py"
    for name in (
        *("box_story", "two_boxes", "kills", "caption_kills", "embedded", "vlm_captions", "phases"),
        *("remove", "ui", "configured_server", "launcher", "bad_files"),
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One user cache folder for the session, so that only the first embedded server sets its database up."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A temporary Prefect server for in-process flows; without heartbeats, whose end each flow run waits for."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "data")


@pytest.fixture(scope="session")
def eraser_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny weights of DiffuEraser and of its anchor in the published layout; shared, so change a copy only."""
    from diffueraser_weights import write_diffueraser_weights  # torch takes seconds

    return write_diffueraser_weights(tmp_path_factory.mktemp("eraser_weights"))
