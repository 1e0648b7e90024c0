"""Time for the tests of the inbox."""

import time
from collections.abc import Callable


class Clock:
    """Time that only passes when somebody sleeps, ahead of the real one."""

    def __init__(self, ahead: float) -> None:
        self.time, self.slept = time.time() + ahead, 0.0
        self.meanwhile: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.meanwhile()
        self.time += seconds
        self.slept += seconds
