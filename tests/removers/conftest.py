from pathlib import Path

import pytest
from tests_support import write_propainter_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_propainter_weights(tmp_path_factory.mktemp("weights") / "propainter")
