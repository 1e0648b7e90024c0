"""What the doctor makes of GPUs: facts as a probe would find them are judged; the probe reads a made-up driver."""

import json
import os

import pytest

from deployments.checks import gpu, gpu_probe
from deployments.checks.child import Answer, ask_child
from deployments.checks.estimates import Need, gpu_needs
from deployments.checks.finding import GIB
from deployments.checks.gpu import collect, judge
from deployments.checks.job import PROJECT_ROOT, Job

DRIVER = {"kind": "driver", "cuda": 13000, "nodes": 1, "error": 0, "version": "580.95.05"}
H100 = {
    "kind": "gpu",
    "number": 0,
    "name": "NVIDIA H100 80GB HBM3",
    "total": 80 * GIB,
    "capability": [9, 0],
    "free": 79 * GIB,
    "processes": [],
}
TORCH = {
    "kind": "torch",
    "version": "2.11.0+cu130",
    "cuda": "13.0",
    "archs": ["sm_80", "sm_90", "sm_120"],
    "available": True,
}
COMPUTED = {"kind": "computed", "number": 0, "error": "", "free": 78 * GIB, "total": 80 * GIB}
KERNELS = {"kind": "kernels", "built": True, "reason": ""}
END = {"kind": "step", "name": ""}
NEEDS = [Need("removal at 1280x720", 7 * GIB, 20 * GIB), Need("captions", 15.5 * GIB, 16 * GIB)]


def found(
    *,
    driver=None,
    device=None,
    torch=None,
    computed=None,
    kernels=None,
    gpus=1,
    needs=NEEDS,
    visible=None,
    offload=False,
    problem="",
):
    """The findings by name, for a healthy H100 with some facts changed."""
    devices = [{**H100, "number": number, **(device or {})} for number in range(gpus)]
    results = [{**COMPUTED, "number": number, **(computed or {})} for number in range(gpus)]
    lines = [TORCH | (torch or {}), *results, KERNELS | (kernels or {}), END]
    facts = collect(Answer([DRIVER | (driver or {}), *devices]), Answer(lines, problem))
    listed = list(judge(facts, needs, visible=visible, offload=offload))
    assert len({finding.what for finding in listed}) == len(listed)
    return {finding.what: finding for finding in listed}


def test_all_is_well_on_an_h100():
    findings = found()
    assert {finding.level for finding in findings.values()} == {"ok"}
    assert [str(finding) for finding in findings.values()] == [
        "ok    GPU driver: 1 GPU, version 580.95.05, knows CUDA up to 13.0",
        "ok    torch: 2.11.0+cu130, built for CUDA 13.0, for sm_80, sm_90, sm_120",
        "ok    GPU 0: NVIDIA H100 80GB HBM3, 80.0 GiB, capability 9.0, computes",
        "ok    GPU 0 memory: 79.0 GiB of 80.0 GiB free; removal at 1280x720 about 20.0 GiB, captions about 16.0 GiB",
        "ok    GPU 0 processes: nobody else is seen there",
        "ok    fused kernels: can be built",
    ]


def test_each_gpu_is_looked_at():
    findings = found(gpus=2)
    assert findings["GPU driver"].found.startswith("2 GPUs")
    assert {"GPU 0", "GPU 1", "GPU 1 memory", "GPU 1 processes"} <= set(findings)


def test_without_a_driver_work_is_slow_and_without_its_libraries_it_is_broken():
    (nothing,) = judge(collect(Answer([{"kind": "driver", "cuda": None, "nodes": 0}])), NEEDS)
    assert (nothing.level, nothing.what) == ("warn", "GPU driver")
    (hidden,) = judge(collect(Answer([{"kind": "driver", "cuda": None, "nodes": 8}])), NEEDS)
    assert hidden.level == "FAIL" and "8 NVIDIA devices" in hidden.found and "--gpus all" in hidden.advice


@pytest.mark.parametrize(("error", "said"), [(803, "restart the machine"), (802, "fabricmanager"), (46, "nvidia-smi")])
def test_a_driver_that_does_not_start(error, said):
    (finding,) = judge(collect(Answer([{**DRIVER, "error": error}])), NEEDS)
    assert finding.level == "FAIL" and f"CUDA error {error}" in finding.found and said in finding.advice


def test_hidden_gpus_are_no_failure():
    (finding,) = judge(collect(Answer([{**DRIVER, "error": 100}])), NEEDS, visible="")
    assert finding.level == "warn" and "CUDA_VISIBLE_DEVICES=''" in finding.found


def test_the_box_says_which_gpus_are_looked_at(monkeypatch):
    asked = []

    def answer(_module, words, _root, env, _seconds):
        asked.append((words, env["CUDA_VISIBLE_DEVICES"]))
        return Answer([DRIVER, H100] if words == ["driver"] else [TORCH, COMPUTED, KERNELS, END])

    monkeypatch.setattr(gpu, "ask_child", answer)
    findings = list(gpu.check_gpus(Job(env={"CUDA_VISIBLE_DEVICES": "5,7"}, caption_backend="palette")))
    assert asked == [(["driver"], "5,7"), (["torch"], "5,7")]
    assert {finding.level for finding in findings} == {"ok"}


def test_a_driver_that_hangs():
    (finding,) = judge(collect(Answer([], "no end within 60 s")), NEEDS)
    assert finding.level == "FAIL" and "no end within 60 s" in finding.found


def test_torch_for_the_cpu_for_a_newer_driver_or_without_access():
    assert found(torch={"cuda": None})["torch"].level == "FAIL"
    old = found(driver={"cuda": 12080})["torch"]
    assert old.level == "FAIL" and "CUDA up to 12.8" in old.found and "update the driver" in old.advice
    assert found(driver={"cuda": 12040}, torch={"cuda": "12.8"})["torch"].level == "ok"  # minor versions fit
    assert found(torch={"available": False})["torch"].level == "FAIL"


@pytest.mark.parametrize(
    ("capability", "archs", "level"),
    [
        ([9, 0], ["sm_80", "sm_90"], "ok"),
        ([8, 9], ["sm_80", "sm_90"], "ok"),  # code of the same major number, not newer
        ([8, 0], ["sm_86", "sm_90"], "FAIL"),
        ([7, 0], ["sm_75", "sm_90"], "FAIL"),
        ([9, 0], ["sm_90a"], "ok"),
        ([9, 1], ["sm_90a"], "FAIL"),
        ([12, 1], ["sm_90", "sm_120"], "ok"),
        ([10, 3], ["sm_90", "compute_90"], "warn"),  # compiled at its first use
        ([7, 5], ["sm_90", "compute_90"], "FAIL"),
    ],
)
def test_torch_must_have_code_for_the_gpu(capability, archs, level):
    finding = found(device={"capability": capability}, torch={"archs": archs})["GPU 0"]
    assert finding.level == level
    assert f"capability {capability[0]}.{capability[1]}" in finding.found


def test_a_gpu_that_does_not_compute():
    finding = found(computed={"error": "CUDA error: no kernel image is available"})["GPU 0"]
    assert finding.level == "FAIL" and "no kernel image" in finding.found


def test_a_crash_on_the_second_gpu_names_it():
    lines = [TORCH, COMPUTED, {"kind": "step", "name": "computing on GPU 1"}]
    facts = collect(Answer([DRIVER, H100, {**H100, "number": 1}]), Answer(lines, "killed by signal 11"))
    findings = {finding.what: finding for finding in judge(facts, NEEDS)}
    assert (findings["GPU 0"].level, findings["GPU 1"].level) == ("ok", "FAIL")
    assert "computing on GPU 1: killed by signal 11" in findings["torch's use of the GPU"].found


def test_torch_that_cannot_be_imported():
    facts = collect(
        Answer([DRIVER, H100]),
        Answer([{"kind": "step", "name": "importing torch"}], "exit code 1 (ImportError: libcudnn.so.9)"),
    )
    torch = next(finding for finding in judge(facts, NEEDS) if finding.what == "torch")
    assert torch.level == "FAIL" and "importing torch: exit code 1 (ImportError: libcudnn.so.9)" in torch.found
    assert "reinstall torch" in torch.advice


def test_memory_that_another_program_holds_and_memory_that_is_not_there():
    other = {"pid": 4711, "used": 70 * GIB, "name": "python train.py"}
    busy = found(device={"free": 8 * GIB, "processes": [other]}, computed={"free": 8 * GIB})
    assert busy["GPU 0 memory"].level == "FAIL"  # captions alone have weights of 15.5
    assert "end what else runs there" in busy["GPU 0 memory"].advice
    assert busy["GPU 0 processes"].level == "warn"
    assert "pid 4711 (python train.py, 70.0 GiB)" in busy["GPU 0 processes"].found
    small = {"device": {"free": 11 * GIB, "total": 12 * GIB}, "computed": {"free": 11 * GIB}, "needs": NEEDS[:1]}
    assert (found(**small)["GPU 0 memory"].level, "--offload" in found(**small)["GPU 0 memory"].advice) == (
        "warn",
        True,
    )
    assert "--offload" not in found(**small, offload=True)["GPU 0 memory"].advice
    assert (
        found(**{**small, "device": {"free": 5 * GIB}, "computed": {"free": 5 * GIB}})["GPU 0 memory"].level == "FAIL"
    )


def test_free_memory_may_be_unknown_and_processes_nameless():
    assert found(device={"free": 0}, computed={"free": 0})["GPU 0 memory"].level == "warn"
    hidden = found(device={"processes": [{"pid": 7, "used": None, "name": ""}]})["GPU 0 processes"]
    assert hidden.found == "pid 7 (not visible from here)"


def test_kernels_that_cannot_be_built_cost_time_only():
    finding = found(kernels={"built": False, "reason": "Failed to find C compiler"})["fused kernels"]
    assert finding.level == "warn" and "Failed to find C compiler" in finding.found


def test_only_the_captioner_on_the_gpu_asks_nothing_of_our_torch():
    listed = {finding.what: finding for finding in judge(collect(Answer([DRIVER, H100])), NEEDS[1:])}
    assert "torch" not in listed
    assert {finding.level for finding in listed.values()} == {"ok"}


def test_needs_grow_with_the_size_and_shrink_with_offload():
    measured = gpu_needs(Job(width=720, height=360))[0]
    assert 6.3 * GIB < measured.about < 14 * GIB  # 6.3 were measured without prior and anchor
    large, larger = gpu_needs(Job())[0], gpu_needs(Job(width=1920, height=1080))[0]
    assert measured.about < large.about == larger.about  # --max_img_size holds it there
    offloaded = gpu_needs(Job(offload=True))[0]
    assert offloaded.least < large.least and offloaded.about < large.about
    assert [need.what for need in gpu_needs(Job(engine="propainter"))] == ["removal at 1280x720"]
    assert [need.what for need in gpu_needs(Job(engine="propagation", caption_backend="vlm"))] == ["captions"]
    assert gpu_needs(Job(engine="propagation")) == []


class FakeCuda:
    """What libcuda.so.1 answers for two GPUs."""

    def cuInit(self, _flags):  # noqa: N802
        return 0

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = 13000
        return 0

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device, number):  # noqa: N802
        device._obj.value = number + 7
        return 0

    def cuDeviceGetName(self, name, _length, device):  # noqa: N802
        name.value = f"GPU of {device.value}".encode()
        return 0

    def cuDeviceGetPCIBusId(self, bus, _length, device):  # noqa: N802
        bus.value = f"0000:0{device.value}:00.0".encode()
        return 0

    def cuDeviceGetAttribute(self, value, attribute, _device):  # noqa: N802
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0

    def cuDeviceTotalMem_v2(self, size, _device):  # noqa: N802
        size._obj.value = 80 * GIB
        return 0


class FakeNvml:
    """What libnvidia-ml.so.1 answers; this very process computes on the second GPU."""

    def __init__(self, broken=0):
        self.broken = broken

    def nvmlInit_v2(self):  # noqa: N802
        return self.broken

    def nvmlSystemGetDriverVersion(self, text, _length):  # noqa: N802
        text.value = b"580.95.05"
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus, handle):  # noqa: N802
        handle._obj.value = int(bus.value[5:7])
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle, memory):  # noqa: N802
        memory._obj.free = handle.value * GIB
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle, count, processes):  # noqa: N802
        count._obj.value = int(handle.value == 8)
        processes[0].pid, processes[0].used = os.getpid(), 5 * GIB
        return 0


def load(name, nvml=None):
    return FakeCuda() if "cuda" in name else nvml or FakeNvml()


def test_the_probe_reads_the_drivers_libraries():
    driver, first, second = gpu_probe.driver_facts(load)
    assert (driver["cuda"], driver["version"], driver["error"]) == (13000, "580.95.05", 0)
    assert (first["name"], first["total"], first["capability"]) == ("GPU of 7", 80 * GIB, [9, 0])
    assert (first["free"], first["processes"]) == (7 * GIB, [])
    (process,) = second["processes"]
    assert (process["pid"], process["used"]) == (os.getpid(), 5 * GIB) and "python" in process["name"]
    assert json.loads(json.dumps(second)) == second


def test_the_probe_does_without_the_management_library():
    driver, first, _ = gpu_probe.driver_facts(lambda name: load(name, FakeNvml(broken=12)))
    assert driver["version"] == "" and "free" not in first and "processes" not in first


def test_the_probe_without_any_driver():
    def missing(name):
        raise OSError(name)

    (driver,) = gpu_probe.driver_facts(missing)
    assert driver["cuda"] is None


def test_the_probe_of_torch_runs_as_a_child():
    answer = ask_child("deployments.checks.gpu_probe", ["torch"], PROJECT_ROOT, os.environ, 300)
    facts = collect(Answer(), answer)
    assert facts.torch["version"] and facts.torch_problem == ""


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ('import time; print(\'{"kind": "step"}\', flush=True); time.sleep(600)', "no end within 2 s"),
        ('import os, signal; print(\'{"kind": "step"}\', flush=True); os.kill(os.getpid(), 11)', "killed by signal 11"),
        ("print('{\"kind\": \"step\"}\\nhello'); raise SystemExit('gone')", "exit code 1 (gone)"),
        ('print(\'{"kind": "step"}\')', ""),
    ],
)
def test_a_child_that_hangs_or_crashes_still_tells_what_it_knew(script, problem, tmp_path):
    (tmp_path / "probe.py").write_text(script)
    assert ask_child("probe", [], tmp_path, os.environ, 2) == Answer([{"kind": "step"}], problem)
