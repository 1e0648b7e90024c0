"""Where the processes of a run may work. Without prefect, so that a plan or a check needs none."""

import os

from lib.errors import InputError
from lib.removers.base import Remover
from lib.removers.gpu import gpu_count
from lib.runtime.slots import Slot
from lib.settings import Execution


def slots_for(execution: Execution, remover: Remover) -> tuple[Slot, ...]:
    """Where an engine's processes may work: the GPUs asked for or all that there are, else shares of the CPU.

    Raises:
        InputError: a GPU that was asked for is not there.
    """
    there = gpu_count() if remover.uses_gpu else 0
    gpus = execution.gpus or tuple(range(there))
    if remover.uses_gpu and (absent := [gpu for gpu in gpus if gpu >= there]):
        found = f"found {there}, numbered from 0" if there else "found none that torch can use"
        raise InputError(f"--gpus: no GPU {', '.join(map(str, absent))} here ({found}); give other numbers")
    if not gpus:
        return cpu_slots(execution.max_workers or remover.suggested_workers())
    return _gpu_slots(execution, gpus)


def slots_for_metrics(execution: Execution, uses_networks: bool) -> tuple[Slot, ...]:
    """Where results are measured: on the GPUs if networks measure, else in a process a core."""
    gpus = (execution.gpus or tuple(range(gpu_count()))) if uses_networks and gpu_count() else ()
    return _gpu_slots(execution, gpus) if gpus else cpu_slots(execution.max_workers or os.cpu_count() or 1)


def _gpu_slots(execution: Execution, gpus: tuple[int, ...]) -> tuple[Slot, ...]:
    copies = -(-(execution.max_workers or 1) // len(gpus))
    return tuple(Slot(gpu, copy) for copy in range(copies) for gpu in gpus)


def cpu_slots(count: int) -> tuple[Slot, ...]:
    """Places for so many processes that share the CPU."""
    return tuple(Slot(None, copy) for copy in range(count))
