"""GPUs, their driver, torch's build and free memory: judged from what `gpu_probe` finds in child processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from deployments.checks.child import Answer, ask_child
from deployments.checks.estimates import Need, gpu_needs
from deployments.checks.finding import Finding, fail, gib, ok, skip, warn
from deployments.checks.job import PROJECT_ROOT, Job

_PROBE = "deployments.checks.gpu_probe"
_DRIVER_SECONDS = 60.0
_TORCH_SECONDS = 300.0  # importing torch from a cold disk, and compiling kernels the first time
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_CUDA_ERRORS = {
    802: "the GPUs are not ready; with NVSwitch start nvidia-fabricmanager",
    803: "the driver's libraries and its kernel module are of different versions; restart the machine",
    804: "the GPU does not support this driver's compatibility mode; update the driver",
    999: "the driver is in a bad state; load its modules again (modprobe nvidia_uvm) or restart the machine",
}
_USE_THE_CPU = "or hide the GPU (CUDA_VISIBLE_DEVICES= in front of the command) to work on the CPU"


@dataclass(frozen=True)
class GpuFacts:
    """What the probes said."""

    driver: Mapping[str, Any] = field(default_factory=dict)
    gpus: tuple[Mapping[str, Any], ...] = ()
    torch: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)  # by the GPU's number
    kernels: Mapping[str, Any] = field(default_factory=dict)
    torch_asked: bool = True
    driver_problem: str = ""  # why the driver's probe did not reach its end
    torch_problem: str = ""  # the same of torch's, and where it was


def check_gpus(job: Job) -> Iterator[Finding]:
    """Look, and judge for this job."""
    if not (job.uses_networks or job.captions_by_model):
        yield skip("GPU", f"--engine {job.engine} works on the CPU")
        return
    visible = job.env.get("CUDA_VISIBLE_DEVICES")
    driver = look_at_driver(visible)
    torch = look_at_torch(visible) if job.uses_networks and collect(driver).gpus else None
    yield from judge(collect(driver, torch), gpu_needs(job), visible=visible, offload=job.offload)


@lru_cache
def look_at_driver(visible: str | None) -> Answer:
    """What the driver says. Neither this nor `look_at_torch` can hang or crash the caller.

    visible: CUDA_VISIBLE_DEVICES; None: not set.
    """
    return ask_child(_PROBE, ["driver"], PROJECT_ROOT, _environment(visible), _DRIVER_SECONDS)


@lru_cache
def look_at_torch(visible: str | None) -> Answer:
    """What torch does on them."""
    return ask_child(_PROBE, ["torch"], PROJECT_ROOT, _environment(visible), _TORCH_SECONDS)


def _environment(visible: str | None) -> dict[str, str]:
    """Ours, with the GPUs that the box's workers see."""
    return {**os.environ, **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})}


def collect(driver: Answer, torch: Answer | None = None) -> GpuFacts:
    """The lines of both probes, sorted; without torch's where it plays no part."""
    asked, torch = torch is not None, torch or Answer()
    facts = [*driver.facts, *torch.facts]
    step = next((fact["name"] for fact in reversed(torch.facts) if fact.get("kind") == "step"), "starting Python")

    def last(kind: str) -> Mapping[str, Any]:
        return next((fact for fact in reversed(facts) if fact.get("kind") == kind), {})

    return GpuFacts(
        driver=last("driver"),
        gpus=tuple(fact for fact in facts if fact.get("kind") == "gpu"),
        torch=last("torch"),
        computed={fact["number"]: fact for fact in facts if fact.get("kind") == "computed"},
        kernels=last("kernels"),
        torch_asked=asked,
        driver_problem=driver.problem,
        torch_problem=f"{step}: {torch.problem}" if torch.problem else "",
    )


def judge(
    facts: GpuFacts, needs: list[Need], *, visible: str | None = None, offload: bool = False
) -> Iterator[Finding]:
    """What the facts mean for such needs. visible: CUDA_VISIBLE_DEVICES."""
    driver = judge_driver(facts, visible)
    yield driver
    if not facts.gpus:
        return
    if facts.torch_asked:
        yield from judge_torch(facts)
    for gpu in facts.gpus:
        number = gpu["number"]
        yield judge_device(gpu, facts)
        yield judge_memory(gpu, facts.computed.get(number, {}), needs, offload=offload)
        yield from judge_processes(gpu)
    yield from judge_kernels(facts.kernels)


def judge_driver(facts: GpuFacts, visible: str | None) -> Finding:
    what, driver = "GPU driver", facts.driver
    if facts.driver_problem:
        found = f"looking at it did not end well ({facts.driver_problem})"
        return fail(what, found, f"see `nvidia-smi` and `dmesg`; restart the machine, {_USE_THE_CPU}")
    if driver.get("cuda") is None:
        if driver.get("nodes"):
            found = f"{driver['nodes']} NVIDIA devices and no libcuda.so.1"
            return fail(what, found, "install the driver's libraries (a container needs --gpus all)")
        return warn(what, "none, so networks run on the CPU, slowly", "take a machine with an NVIDIA GPU for real work")
    error = driver.get("error", 0)
    if not facts.gpus and visible is not None:
        return warn(what, f"no GPU behind CUDA_VISIBLE_DEVICES={visible!r}", "unset it, unless the CPU shall work")
    if error and error != _NO_DEVICE:
        advice = _CUDA_ERRORS.get(error, "see `nvidia-smi` and `dmesg`")
        return fail(what, f"does not start (CUDA error {error})", advice)
    if not facts.gpus:
        return warn(what, "finds no GPU, so networks run on the CPU, slowly", "see `nvidia-smi`")
    count = f"{len(facts.gpus)} GPU{'s' if len(facts.gpus) > 1 else ''}"
    return ok(what, f"{count}, version {driver.get('version') or 'unknown'}, knows CUDA up to {_cuda(driver['cuda'])}")


def judge_torch(facts: GpuFacts) -> Iterator[Finding]:
    what, torch = "torch", facts.torch
    if not torch:
        advice = "reinstall torch (make install)" if "Error" in facts.torch_problem else "see `nvidia-smi` and `dmesg`"
        yield fail(what, facts.torch_problem or "said nothing", advice)
        return
    found = f"{torch['version']}, built for {'CUDA ' + torch['cuda'] if torch['cuda'] else 'the CPU only'}"
    if not torch["cuda"]:
        yield fail(what, f"{found}, and there is a GPU", f"install torch's CUDA build, {_USE_THE_CPU}")
    elif int(torch["cuda"].partition(".")[0]) > facts.driver["cuda"] // 1000:
        known = _cuda(facts.driver["cuda"])
        yield fail(what, f"{found}; the driver knows CUDA up to {known}", f"update the driver, {_USE_THE_CPU}")
    elif not torch["available"]:
        yield fail(what, f"{found}, cannot use the GPU", f"see `nvidia-smi` and `dmesg`, {_USE_THE_CPU}")
    else:
        yield ok(what, f"{found}, for {', '.join(torch['archs'])}")
    if facts.torch_problem:
        yield fail("torch's use of the GPU", f"ended while {facts.torch_problem}", "see `dmesg`, restart the machine")


def judge_device(gpu: Mapping[str, Any], facts: GpuFacts) -> Finding:
    """Whether torch has code for this GPU, and computes on it."""
    number, capability = gpu["number"], tuple(gpu["capability"])
    what = f"GPU {number}"
    found = f"{gpu['name']}, {gib(gpu['total'])}, capability {capability[0]}.{capability[1]}"
    if not facts.torch_asked:
        return ok(what, found)
    archs, done = facts.torch.get("archs") or [], facts.computed.get(number)
    fits = _fit(capability, archs) if archs else "yes"
    if fits == "no":
        return fail(what, f"{found}, none of torch's {', '.join(archs)}", f"install another torch, {_USE_THE_CPU}")
    if done is None:
        return fail(what, f"{found}, nothing was computed on it", "mend torch first (see the lines above)")
    if done["error"]:
        return fail(what, f"{found}, computing fails ({done['error']})", "end other programs there, see `dmesg`")
    if fits == "compiled":
        return warn(what, f"{found}, torch has no code for it", "its first use compiles, slowly: install a newer torch")
    return ok(what, f"{found}, computes")


def judge_memory(gpu: Mapping[str, Any], done: Mapping[str, Any], needs: list[Need], *, offload: bool) -> Finding:
    """Free memory against estimates; which of the needs comes first plays no part: they never meet."""
    what, free = f"GPU {gpu['number']} memory", max(gpu.get("free", 0), done.get("free", 0))
    if not free:
        return warn(what, "how much is free is unknown", "see `nvidia-smi`")
    largest = max(needs, key=lambda need: need.about)
    found = f"{gib(free)} of {gib(gpu['total'])} free; " + ", ".join(
        f"{need.what} about {gib(need.about)}" for need in needs
    )
    if free >= largest.about:
        return ok(what, found)
    smaller = "end what else runs there" if gpu["total"] >= largest.about else _less(largest, offload)
    if any(free < need.least for need in needs):
        return fail(what, found, smaller)
    return warn(what, f"{found} (a guess beyond 720x360)", f"it may run out: {smaller}")


def _less(need: Need, offload: bool) -> str:
    if need.what == "captions":
        return "take a smaller caption model or a quantised one (AWQ)"
    return f"{'' if offload else '--offload, '}a smaller --max_img_size or --subvideo_length"


def judge_processes(gpu: Mapping[str, Any]) -> Iterator[Finding]:
    """Who else computes there. Containers may hide them."""
    what = f"GPU {gpu['number']} processes"
    others = [_process(process) for process in gpu.get("processes", ())]
    if others:
        yield warn(what, "; ".join(others), "runs share memory and speed with them: end what is not wanted")
    elif "processes" in gpu:
        yield ok(what, "nobody else is seen there")


def _process(found: Mapping[str, Any]) -> str:
    used = "" if found["used"] is None else f", {gib(found['used'])}"
    return f"pid {found['pid']} ({found['name'] or 'not visible from here'}{used})"


def judge_kernels(kernels: Mapping[str, Any]) -> Iterator[Finding]:
    """Fused kernels; without them everything works, slower."""
    what = "fused kernels"
    if kernels and kernels["built"]:
        yield ok(what, "can be built")
    elif kernels:
        advice = "install a C compiler (gcc) and see that the cache folder can be written"
        yield warn(what, f"cannot be built ({kernels['reason']}), so work is slower", advice)


def _fit(capability: tuple[int, ...], archs: list[str]) -> str:
    """Whether code for these architectures runs on a GPU: "yes", "compiled" at first use, or "no"."""
    major, minor = capability
    for arch in archs:
        kind, _, digits = arch.partition("_")
        if digits[-1:].isalpha():  # sm_90a: that very GPU only
            if kind == "sm" and digits[:-1] == f"{major}{minor}":
                return "yes"
        elif kind == "sm" and int(digits[:-1]) == major and int(digits[-1]) <= minor:
            return "yes"
    plain = [digits for kind, _, digits in (arch.partition("_") for arch in archs) if kind == "compute"]
    known = [(int(digits[:-1]), int(digits[-1])) for digits in plain if digits.isdigit()]
    return "compiled" if any(found <= (major, minor) for found in known) else "no"


def _cuda(version: int) -> str:
    """13000 as 13.0."""
    return f"{version // 1000}.{version % 1000 // 10}"
