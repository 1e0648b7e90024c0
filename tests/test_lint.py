"""The linter, the formatter and the type checker are part of the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ["flows", "tasks", "lib", "deployments", "benchmarks", "tests"]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", *CHECKED],
        ["-m", "ruff", "format", "--check", *CHECKED],
        ["-m", "basedpyright", "--level", "error"],
    ],
    ids=["ruff-check", "ruff-format", "basedpyright"],
)
def test_code_is_clean(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_lib_never_imports_prefect() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "lib").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.strip().startswith(("import prefect", "from prefect"))
    ]
    assert offenders == []
