"""Seconds and memory of a caption by a vision-language model of full size: python benchmarks/captions.py

On a GPU: Qwen2.5-VL-7B with random weights in the published layout (16.6 GB in a temporary folder), asked through
`lib.captioner.model.chat_model` as captioning does; what it says is noise, what it costs is not. Each attention has a
process of its own. Then memory is really made to run out. Without a GPU: a tiny model.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
import torch

from lib.captioner.backend import MAX_PIXELS, CaptionerOptions
from lib.captioner.model.chat_model import Answer, ChatModel
from lib.captioner.words.prompts import SYSTEM_PROMPT, USER_PROMPT
from lib.errors import InputError

QWEN_LIMIT = 12_845_056  # of Qwen's own preprocessor_config.json
# The tiny tokenizer has a token a letter where Qwen's has one for about four: a quarter of the rules is as long.
RULES = SYSTEM_PROMPT[: len(SYSTEM_PROMPT) // 4]
TOKENS = (40, 96)  # a sentence of 30 words, and the most that is asked for
REPEATS = 5
CASES = {  # name -> width, height, limit of pixels
    "432x240": (432, 240, MAX_PIXELS),
    "854x480": (854, 480, MAX_PIXELS),
    "1920x1080 at our limit": (1920, 1080, MAX_PIXELS),
    "3840x2160 at Qwen's limit": (3840, 2160, QWEN_LIMIT),
}
ATTENTIONS = {"sdpa": tuple(CASES), "eager": tuple(CASES)[:3]}  # eager at 4K wants more than any GPU has
_TEXT = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}
_VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "fullatt_block_indexes": [7, 15, 23, 31],
}


def write_full_vlm(folder: Path) -> None:
    """Qwen2.5-VL-7B: configuration and shapes as published, random weights, the tests' small tokenizer."""
    from tiny_vlms import write_tiny_vlm
    from transformers import AutoConfig, AutoModelForImageTextToText

    write_tiny_vlm(folder)
    path = folder / "config.json"
    tiny = json.loads(path.read_text())
    endless = {"eos_token_id": _TEXT["vocab_size"] - 1}  # so that every answer has as many tokens as it may
    path.write_text(json.dumps(tiny | _TEXT | endless | {"vision_config": tiny["vision_config"] | _VISION}))
    with torch.device("cuda"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder), dtype=torch.bfloat16)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="5GB")
    path.write_text(json.dumps(tiny | _TEXT | endless | {"vision_config": tiny["vision_config"] | _VISION}))
    told = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(told | endless))


def measure(folder: Path, attention: str) -> dict[str, Any]:
    """Loading, then every case: seconds a caption, its tokens, and the most memory allocated on the way."""
    began = time.perf_counter()
    model = ChatModel(_options(folder, attention, MAX_PIXELS))
    _wait()
    found: dict[str, Any] = {"load seconds": time.perf_counter() - began, "weights GiB": _allocated(), "cases": {}}
    found["facts"] = model.facts()
    _ask(model, 432, 240, 4)
    for name in ATTENTIONS[attention] if torch.cuda.is_available() else ("432x240", "1920x1080 at our limit"):
        width, height, limit = CASES[name]
        model._max_pixels = limit
        found["cases"][name] = {f"{tokens} tokens": _timed(model, width, height, tokens) for tokens in TOKENS}
    if torch.cuda.is_available() and attention == "sdpa":
        found["full memory"] = fill_memory(model)
    return found


def fill_memory(model: ChatModel) -> dict[str, Any]:
    """What becomes of a question when there is too little memory for its picture, and for any picture."""
    model._max_pixels = QWEN_LIMIT
    needs = {}
    for width, height in ((432, 240), (3840, 2160)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        _ask(model, width, height, 4)
        needs[width] = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    found: dict[str, Any] = {"GiB reserved": {width: need / 2**30 for width, need in needs.items()}}
    try:
        torch.cuda.set_per_process_memory_fraction((needs[432] * 3 + needs[3840]) / 4 / total)
        began = time.perf_counter()
        found["asked, answered"] = [QWEN_LIMIT, _ask(model, 3840, 2160, 40).max_pixels]
        found["seconds with all attempts"] = time.perf_counter() - began
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 2**20) / total)
        _ask(model, 3840, 2160, 40)
    except InputError as error:
        found["nothing fits"] = str(error)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    found["afterwards"] = _ask(model, 3840, 2160, 4).max_pixels
    return found


def _options(folder: Path, attention: str, max_pixels: int) -> CaptionerOptions:
    return CaptionerOptions(backend="vlm", model_path=str(folder), attention=attention, max_pixels=max_pixels)


def _ask(model: ChatModel, width: int, height: int, tokens: int) -> Answer:
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack((rows % 256, columns % 256, (rows + columns) % 256), axis=2).astype(np.uint8)
    return model.ask(RULES, USER_PROMPT, [picture], tokens)


def _timed(model: ChatModel, width: int, height: int, tokens: int) -> dict[str, float]:
    seconds = []
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    for _ in range(REPEATS):
        began = time.perf_counter()
        _ask(model, width, height, tokens)
        _wait()
        seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {"seconds": statistics.median(seconds), "slowest": max(seconds), "peak GiB": peak}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _allocated() -> float:
    return torch.cuda.memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


def run_child(name: str, folder: Path) -> Any:
    """What `--child NAME` prints as JSON."""
    if name != "weights":
        return measure(folder, name)
    began = time.perf_counter()
    if torch.cuda.is_available():
        write_full_vlm(folder)
    else:
        from tiny_vlms import write_tiny_vlm

        write_tiny_vlm(folder)
    return {"write seconds": time.perf_counter() - began}


def _in_child(name: str, folder: Path) -> Any:
    """The answer of this script in a process of its own, so that nothing sees another one's memory."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_case(name: str, found: dict[str, dict[str, float]]) -> None:
    least, most = TOKENS
    times = ", ".join(f"{count} {row['seconds']:.2f} s (slowest {row['slowest']:.2f})" for count, row in found.items())
    each = (found[f"{most} tokens"]["seconds"] - found[f"{least} tokens"]["seconds"]) / (most - least)
    on_gpu = f", {1000 * each:.1f} ms a token, peak {found[f'{most} tokens']['peak GiB']:.2f} GiB"
    print(f"  {name:26s} {times}{on_gpu if torch.cuda.is_available() else ''}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the measurements here as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(run_child(args.child, args.folder)))
        return 0
    results = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "Qwen2.5-VL-7B-random"
        print(json.dumps(_in_child("weights", folder)), flush=True)
        for attention in ATTENTIONS:
            found = results[attention] = _in_child(attention, folder)
            print(f"{attention}: {json.dumps(found['facts'])}")
            print(f"  loaded in {found['load seconds']:.1f} s, weights {found['weights GiB']:.2f} GiB")
            for name, case in found["cases"].items():
                print_case(name, case)
            if "full memory" in found:
                print(json.dumps(found["full memory"], indent=1), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
