"""Speed and memory of DiffuEraser, against what the published code costs on the same kind of GPU.

    python benchmarks/diffueraser.py                     all that this machine can do
    python benchmarks/diffueraser.py --cases wide long   some of them
    python benchmarks/diffueraser.py --json out.json     also as JSON

Weights are random, in the published layout and at the published sizes, written to a temporary folder (14 GB with their
fp16 copy; set TMPDIR where /tmp is small). The clip is synthetic with a moving hole in every frame; its prior is given,
as benchmarks/prior.py measures that. Every case has a process of its own: models are loaded, two calls warm up (the
second captures CUDA graphs), the third is timed, host work included. The exit code is 1 if a bar is missed.

The reference's figures are for one H100 80GB; ratios on another GPU compare machines too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]
STARTED = time.time()

import torch
from eraser_agreement import compare_devices, compare_precisions
from eraser_cost import CPU_CASES, CUDA_CASES, Case, Row, clip_with_prior, erase, load, measure

from lib.removers.gpu import torch_device

LENGTHS = (300, 3000)  # frames whose peak memory must be equal
LENGTH_TOLERANCE = 0.05
LENGTH_CASE = Case(0, 640, 360)
MOST_HOST_SHARE = 0.15
MOST_HALF_ERROR = 2.0  # gray levels in the hole by which fp16 may differ from fp32 on average
MOST_KERNEL_ERROR = 2e-3  # of half-precision kernels, as a share of the largest value
MOST_DISAGREEING = 2e-3  # share of values by which CUDA may differ from the CPU in float32, and by one level
MOST_LOADING = {"fp32": 3.5, "fp16": 2.0}  # seconds, files in the page cache
MOST_START = 10.0  # seconds from the process's start until frames can be painted


def measure_start(weights: Path) -> dict[str, float]:
    """Seconds of this process: until torch was there, until networks were loaded, until a first clip was painted."""
    imported = time.time()
    device = torch_device()
    torch.zeros(1, device=device)
    began = time.perf_counter()
    eraser, encoder = load(weights)
    if device.type == "cuda":
        torch.cuda.synchronize()
    loading, ready = time.perf_counter() - began, time.time()
    clip = clip_with_prior(replace(CUDA_CASES["wide"], frames=22))
    painting = time.time()
    erase(eraser, encoder, clip, 0.0)
    return {
        "interpreter": STARTED - _process_start(),
        "import torch": imported - STARTED,
        "load": loading,
        "ready": ready - _process_start(),
        "first 22 frames": time.time() - painting,
    }


def _process_start() -> float:
    """When this process was started, in seconds since the epoch."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + ticks / 100


def misses(name: str, row: Row) -> list[str]:
    """The bars that a case misses, in words; they hold for an H100."""
    case = CUDA_CASES.get(name)
    if case is None or "H100" not in torch.cuda.get_device_name():
        return []
    said = []
    if case.most_seconds and row.seconds > case.most_seconds:
        said.append(f"{name}: {row.seconds:.2f} s, at most {case.most_seconds} asked")
    if case.reference_gib and row.allocated_gib > case.reference_gib:
        said.append(f"{name}: {row.allocated_gib:.1f} GiB, at most {case.reference_gib} asked")
    if row.host_share > MOST_HOST_SHARE:
        said.append(f"{name}: {row.host_share:.0%} of the time is host work, at most {MOST_HOST_SHARE:.0%} asked")
    return said


def print_row(row: Row, case: Case) -> None:
    ratio = ""
    if case.reference_seconds:
        ratio = f"  {case.reference_seconds / row.seconds:4.1f}x the reference's speed ({case.reference_seconds} s)"
    print(
        f"{row.case:13s} {row.frames:5d} frames {case.width}x{case.height} {row.seconds:7.2f} s "
        f"(first {row.first_seconds:.1f} s) host {row.host_share:4.0%} MFU {row.mfu:4.0%} "
        f"{row.allocated_gib:5.2f} / {row.reserved_gib:5.2f} GiB{ratio}"
    )
    print("   ", ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in row.stages.items()), flush=True)


def run_child(name: str, weights: Path) -> Any:
    """What `--child NAME` prints as JSON."""
    if name == "weights":
        from full_weights import write_full_weights

        return write_full_weights(weights)
    if name == "half copy":
        from diffueraser_weights import weight_paths

        from lib.diffueraser.half_copy import write_half_copy

        half = weights.parent / "half"
        write_half_copy(weight_paths(weights), half)
        (half / "PCM_Weights").symlink_to(weights / "PCM_Weights")
        return None
    if name == "precision":
        return compare_precisions(weights)
    if name == "agreement":
        return compare_devices()
    if name == "kernels":
        from fused_kernels import kernel_errors

        return kernel_errors()
    if name.startswith("start"):
        return measure_start(weights)
    if name.startswith("length "):
        case = replace(LENGTH_CASE, frames=int(name.split()[1]))
        return asdict(measure(name, case, weights, warm_ups=0))
    if name == "cpu":
        from diffueraser_weights import write_diffueraser_weights

        weights = write_diffueraser_weights(weights)
    return asdict(measure(name, (CUDA_CASES | CPU_CASES)[name], weights))


def _in_child(name: str, weights: Path) -> Any:
    """The answer of this script in a process of its own, so that no case sees another one's memory."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", name, "--weights", str(weights)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


class Report:
    """Runs cases one after another, prints them, and collects what misses its bar."""

    def __init__(self, folder: Path) -> None:
        self._weights, self._half = folder / "full", folder / "half"
        self.found: dict[str, Any] = {}
        self.missed: list[str] = []

    def run(self, names: list[str]) -> None:
        if set(names) - {"cpu", "agreement", "kernels"}:
            _in_child("weights", self._weights)
        for name in names:
            {"loading": self._loading, "lengths": self._lengths}.get(name, lambda name=name: self._case(name))()

    def _case(self, name: str) -> None:
        found = self.found[name] = _in_child(name, self._weights)
        if name in ("precision", "agreement", "kernels"):
            print(name, json.dumps(found), flush=True)
            if name == "kernels" and max(found.values()) > MOST_KERNEL_ERROR:
                self.missed.append(f"a fused kernel is wrong: {found}")
            limits = {"fp16: mean": MOST_HALF_ERROR, "differing share": MOST_DISAGREEING}
            self.missed += [f"{what}: {found[what]:.4f}" for what, most in limits.items() if found.get(what, 0) > most]
            return
        row = Row(**found)
        print_row(row, (CUDA_CASES | CPU_CASES)[name])
        self.missed += misses(name, row)

    def _lengths(self) -> None:
        peaks = {}
        for count in LENGTHS:
            row = Row(**_in_child(f"length {count}", self._weights))
            print_row(row, LENGTH_CASE)
            self.found[row.case] = asdict(row)
            peaks[count] = row.allocated_gib
        if max(peaks.values()) > min(peaks.values()) * (1 + LENGTH_TOLERANCE):
            self.missed.append(f"peak memory depends on the length: {peaks} GiB")

    def _loading(self) -> None:
        _in_child("half copy", self._weights)
        for kind, folder in (("fp32", self._weights), ("fp16", self._half)):
            # The first reads the files into the page cache and builds kernels.
            found = [_in_child(f"start {kind} {turn}", folder) for turn in range(2)][-1]
            self.found[f"start {kind}"] = found
            print(f"start {kind}", json.dumps(found), flush=True)
            if found["load"] > MOST_LOADING[kind]:
                self.missed.append(f"loading {kind}: {found['load']:.1f} s, at most {MOST_LOADING[kind]} asked")
            if found["ready"] > MOST_START:
                self.missed.append(f"start {kind}: {found['ready']:.1f} s, at most {MOST_START} asked")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = [*CUDA_CASES, *CPU_CASES, "agreement", "kernels", "precision", "loading", "lengths"]
    parser.add_argument("--cases", nargs="+", choices=choices, help="default: all that this machine can do")
    parser.add_argument("--json", type=Path, help="write the measurements here as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(run_child(args.child, args.weights)))
        return 0
    cuda = torch_device().type == "cuda"
    names = args.cases or (
        [*CUDA_CASES, "agreement", "kernels", "precision", "loading", "lengths"] if cuda else [*CPU_CASES]
    )
    print(f"torch {torch.__version__} on {torch.cuda.get_device_name() if cuda else 'a CPU'}")
    print("case, time, shares, peak memory allocated / reserved; below: seconds a stage")
    with tempfile.TemporaryDirectory() as folder:
        report = Report(Path(folder))
        report.run(names)
    if args.json:
        args.json.write_text(json.dumps(report.found, indent=1))
    print("\n".join(report.missed) if report.missed else "every bar is reached")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
