"""Speed and memory of the ProPainter prior, against what the published code costs on the same kind of GPU.

    python benchmarks/prior.py                     what this machine can do: all cases on CUDA, a small one on a CPU
    python benchmarks/prior.py --cases wide long   some of them
    python benchmarks/prior.py --json out.json     also as JSON

Weights are random (made by the tests' filler, in the published layout), the clip is synthetic, with a moving hole in
every frame, so no window is skipped. Every case is measured in a process of its own: models are loaded, one call warms
up, a second one captures CUDA graphs, the third is timed, host work included. The exit code is 1 if a bar is missed.

The reference's figures are for one H100 80GB; ratios on another GPU compare machines too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "propainter"), str(ROOT / "benchmarks")]

import numpy as np
import torch
from clips import moving_clip
from weight_filler import FLOW_COMPLETION, GENERATOR, RAFT, random_state

from lib.propainter.checkpoints import load_raft
from lib.propainter.prior import Prior, PriorResult
from lib.propainter.settings import PriorSettings
from lib.propainter.weight_files import FILES, RAFT_FILE
from lib.removers.gpu import torch_device

GIB = 2**30
WARM_UPS = 2


@dataclass(frozen=True)
class Case:
    """One clip and the settings it is measured with."""

    frames: int
    width: int
    height: int
    settings: PriorSettings
    reference_seconds: float | None = None  # of the published code on an H100 80GB
    reference_gib: float | None = None
    most_seconds: float | None = None  # bars of this project on that GPU
    most_gib: float | None = None


WIDE = PriorSettings(resize_ratio=1.0, neighbor_length=25, ref_stride=6)
SMALL_STEPS = PriorSettings(resize_ratio=0.6, neighbor_length=10, ref_stride=10)
CUDA_CASES = {
    "wide": Case(60, 720, 360, WIDE, 7.3, 11.8, 2.4, 11.8),
    "small": Case(60, 432, 240, WIDE, 4.6, 8.0),
    "long": Case(250, 640, 360, SMALL_STEPS, 19.5, 7.5, 6.0, None),
    "wide, fp16 flow": Case(60, 720, 360, replace(WIDE, raft_precision="fp16"), 7.3, 11.8),
    "wide, reference": Case(60, 720, 360, replace(WIDE, numerics="reference"), 7.3, 11.8),
}
CPU_CASES = {"cpu": Case(10, 160, 128, PriorSettings(raft_iterations=8))}
LENGTHS = (300, 3000)  # frames whose peak memory must be equal
LENGTH_TOLERANCE = 0.05
LENGTH_CASE = Case(0, 640, 360, PriorSettings())
PRECISION_CASE = Case(40, 720, 360, WIDE)
# Whatever CUDA does differently (graphs, layouts, kernels), full float32 must give the CPU's result.
AGREEMENT_CASE = Case(14, 160, 136, PriorSettings(precision="fp32", numerics="reference", neighbor_length=10))
MOST_HALF_ERROR = 1.0  # gray levels in the hole by which fp16 may differ from fp32 on average
MOST_DISAGREEING = 1e-3  # share of values that may differ, by ties of rounding


@dataclass(frozen=True)
class Row:
    """One measurement."""

    case: str
    frames: int
    seconds: float
    first_seconds: float
    allocated_gib: float
    reserved_gib: float
    stages: dict[str, float]

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds


def write_random_weights(folder: Path, seed: int = 0) -> Path:
    """The three files in the published layout, with random numbers."""
    for file, net in zip(FILES, (RAFT, FLOW_COMPLETION, GENERATOR), strict=True):
        torch.save(random_state(net, seed), folder / file)
    return folder


def device() -> str:
    return torch_device().type


def measure(name: str, case: Case, weights: Path, warm_ups: int = WARM_UPS) -> Row:
    """Time a case in this process."""
    prior = Prior.load(weights, case.settings, device())
    clip, masks = moving_clip(case.frames, case.height, case.width)
    first = time.perf_counter()
    for number in range(warm_ups):
        prior(clip, masks)
        if number == 0:
            first = time.perf_counter() - first
    if device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    result = prior(clip, masks)
    seconds = time.perf_counter() - started
    return Row(name, len(clip), seconds, first if warm_ups else seconds, *_peaks(), result.seconds)


def _peaks() -> tuple[float, float]:
    """GiB that tensors took at most, and that the process held on the device (graphs' pools included)."""
    if device() == "cpu":
        return float("nan"), float("nan")
    return torch.cuda.max_memory_allocated() / GIB, torch.cuda.max_memory_reserved() / GIB


def compare_precisions(weights: Path) -> dict[str, float]:
    """How far fp16 is from fp32 (full float32 everywhere), in gray levels inside the hole and in pixels of flow."""
    torch.backends.cudnn.allow_tf32 = False
    exact = _result(weights, replace(PRECISION_CASE.settings, precision="fp32"))
    torch.backends.cudnn.allow_tf32 = True
    clip, masks = moving_clip(PRECISION_CASE.frames, PRECISION_CASE.height, PRECISION_CASE.width)
    found: dict[str, float] = {}
    variants = {
        "fp32 with TF32": replace(PRECISION_CASE.settings, precision="fp32"),
        "fp16": PRECISION_CASE.settings,
        "fp16, fp16 flow": replace(PRECISION_CASE.settings, raft_precision="fp16"),
        "fp16, reference numerics": replace(PRECISION_CASE.settings, numerics="reference"),
    }
    for name, settings in variants.items():
        result = _result(weights, settings)
        inside = np.abs(result.frames.astype(int) - exact.frames.astype(int))[masks]
        found |= {f"{name}: mean": float(inside.mean()), f"{name}: 99 %": float(np.quantile(inside, 0.99))}
        outside_equal = bool((result.frames[~masks] == clip[~masks]).all())
        found[f"{name}: outside untouched"] = float(outside_equal)
    return found | _compare_flow(weights, clip)


def compare_devices(weights: Path) -> dict[str, float]:
    """How far this device's result is from the CPU's, both in full float32; the second call replays CUDA graphs."""
    torch.backends.cudnn.allow_tf32 = False
    case = AGREEMENT_CASE
    clip, masks = moving_clip(case.frames, case.height, case.width)
    expected = Prior.load(weights, case.settings, "cpu")(clip, masks).frames
    prior = Prior.load(weights, case.settings, device())
    results = [prior(clip, masks).frames for _ in range(2)]
    differences = [np.abs(result.astype(int) - expected.astype(int)) for result in results]
    return {
        "differing share": float(max((difference > 0).mean() for difference in differences)),
        "largest difference": float(max(difference.max() for difference in differences)),
    }


def _result(weights: Path, settings: PriorSettings) -> PriorResult:
    clip, masks = moving_clip(PRECISION_CASE.frames, PRECISION_CASE.height, PRECISION_CASE.width)
    return Prior.load(weights, settings, device())(clip, masks)


def _compare_flow(weights: Path, clip: np.ndarray) -> dict[str, float]:
    """Flow of a few frames with TF32 convolutions and in fp16, against full float32, in pixels."""
    frames = torch.from_numpy(clip[:5]).permute(0, 3, 1, 2).to(device()).float() / 255 * 2 - 1
    raft = load_raft(weights / RAFT_FILE).to(device())
    found: dict[str, float] = {}
    with torch.inference_mode():
        torch.backends.cudnn.allow_tf32 = False
        exact = raft(frames)[0]
        torch.backends.cudnn.allow_tf32 = True
        for name, flow in (("TF32", raft(frames)[0]), ("fp16", raft.half()(frames.half())[0])):
            error = (flow - exact).norm(dim=1)
            found |= {f"flow {name}: mean px": error.mean().item(), f"flow {name}: max px": error.max().item()}
    found["flow: mean length px"] = exact.norm(dim=1).mean().item()
    return found


def misses(name: str, row: Row) -> list[str]:
    """The bars that a case misses, in words; they hold for an H100."""
    case = CUDA_CASES.get(name)
    if case is None or "H100" not in torch.cuda.get_device_name():
        return []
    said = []
    if case.most_seconds and row.seconds > case.most_seconds:
        said.append(f"{name}: {row.seconds:.2f} s, at most {case.most_seconds} asked")
    if case.most_gib and row.reserved_gib > case.most_gib:
        said.append(f"{name}: {row.reserved_gib:.1f} GiB, at most {case.most_gib} asked")
    return said


def print_row(row: Row, case: Case) -> None:
    times = ""
    if case.reference_seconds:
        times = f"  {case.reference_seconds / row.seconds:4.1f}x the reference's speed ({case.reference_seconds} s)"
    print(
        f"{row.case:16s} {row.frames:5d} frames {case.width}x{case.height} {row.seconds:7.2f} s "
        f"{row.frames_per_second:6.1f} fps (first {row.first_seconds:.1f} s) "
        f"{row.allocated_gib:5.2f} / {row.reserved_gib:5.2f} GiB{times}"
    )
    print("   ", ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in row.stages.items()), flush=True)


def _in_child(arguments: list[str]) -> str:
    """Standard output of this script with other arguments, so that no case sees another one's memory."""
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def run_child(name: str, weights: Path) -> object:
    """What `--child NAME` prints as JSON."""
    if name == "precision":
        return compare_precisions(weights)
    if name == "agreement":
        return compare_devices(weights)
    if name.startswith("length "):
        case = replace(LENGTH_CASE, frames=int(name.split()[1]))
        return asdict(measure(name, case, weights, warm_ups=0))
    return asdict(measure(name, (CUDA_CASES | CPU_CASES)[name], weights))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = [*CUDA_CASES, *CPU_CASES, "agreement", "precision", "lengths"]
    parser.add_argument("--cases", nargs="+", choices=choices, help="default: all that this machine can do")
    parser.add_argument("--json", type=Path, help="write the measurements here as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(run_child(args.child, args.weights)))
        return 0
    names = args.cases or (
        [*CUDA_CASES, "agreement", "precision", "lengths"] if device() == "cuda" else list(CPU_CASES)
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = write_random_weights(Path(folder))
        report, missed = run_all(names, weights)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    print("\n".join(missed) if missed else "every bar is reached")
    return 1 if missed else 0


def run_all(names: list[str], weights: Path) -> tuple[dict[str, object], list[str]]:
    """Measure and print; the measurements, and the bars that were missed."""
    print(f"torch {torch.__version__} on {torch.cuda.get_device_name() if device() == 'cuda' else 'a CPU'}")
    print("case, time, speed, peak memory allocated / reserved; below: seconds a stage")
    report: dict[str, object] = {}
    missed: list[str] = []
    peaks: dict[int, float] = {}
    children = [f"length {n}" for n in LENGTHS] if "lengths" in names else []
    for name in [name for name in names if name != "lengths"] + children:
        found = json.loads(_in_child(["--child", name, "--weights", str(weights)]))
        report[name] = found
        if name in ("agreement", "precision"):
            print(name, json.dumps(found, indent=1))
            if found.get("differing share", 0) > MOST_DISAGREEING:
                missed.append(f"{found['differing share']:.1%} of the values differ from the CPU's")
            if found.get("fp16: mean", 0) > MOST_HALF_ERROR:
                missed.append(f"fp16 differs from fp32 by {found['fp16: mean']:.2f} gray levels on average")
            continue
        row = Row(**found)
        print_row(row, (CUDA_CASES | CPU_CASES).get(name, LENGTH_CASE))
        missed += misses(name, row)
        if name in children:
            peaks[row.frames] = row.reserved_gib
    if peaks and max(peaks.values()) > min(peaks.values()) * (1 + LENGTH_TOLERANCE):
        missed.append(f"peak memory depends on the length: {peaks} GiB")
    return report, missed


if __name__ == "__main__":
    sys.exit(main())
