"""What is asked of systemd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from deployments.box.commands import StepError


class Systemd:
    """systemctl, for the whole machine or for the calling user's own manager."""

    def __init__(self, *, system_wide: bool) -> None:
        self.words = ["systemctl"] if system_wide else ["systemctl", "--user"]

    def problem(self) -> str | None:
        """Why nothing can be asked of it here, or None."""
        try:
            done = self._run("is-system-running")
        except OSError as error:
            return f"systemctl cannot be started ({error})"
        # "degraded", "starting" and the like will do: systemd is there
        if not done.stdout.strip() or done.stdout.strip() in ("offline", "unknown"):
            return (
                f"'{' '.join(self.words)} is-system-running' says: {(done.stdout + done.stderr).strip() or 'nothing'}"
            )
        return None

    def reload(self) -> None:
        """Have it read unit files again. Raises StepError, as the others here do."""
        self._ask("daemon-reload")

    def bring_up(self, unit: str, *, changed: bool) -> str:
        """Have the unit enabled and running, with its present text if that has changed; says what was done."""
        runs = self._says("is-active", unit)
        if not runs or not self._says("is-enabled", unit):
            self._ask("enable", "--now", unit)
        if runs and changed:
            self._ask("restart", unit)
            return "restarted"
        return "runs already" if runs else "started"

    def take_down(self, units: Iterable[str]) -> None:
        """Stop the units and have them never start again; those that it does not know do not matter."""
        for unit in units:
            if self._says("is-enabled", unit) or self._says("is-active", unit) or self._says("is-failed", unit):
                self._ask("disable", "--now", unit)
                self._run("reset-failed", unit)

    def _says(self, question: str, unit: str) -> bool:
        return self._run(question, "--quiet", unit).returncode == 0

    def _ask(self, *words: str) -> None:
        done = self._run(*words)
        if done.returncode != 0:
            command = " ".join([*self.words, *words])
            raise StepError(f"'{command}' ended with code {done.returncode}: {done.stderr.strip()}")

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.words, *words], capture_output=True, text=True, check=False)
