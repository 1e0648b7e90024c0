"""Whether captions can be made, found out before any work starts; and what decides them, for their keys.

Runs in the main environment and imports neither torch nor transformers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from lib.captioner import palette, vlm
from lib.captioner.backend import DEFAULT_MODEL, CaptionerOptions
from lib.captioner.environment import CaptionEnv, caption_device, check_caption_env
from lib.captioner.model.files import ModelFiles, find_model, small_files
from lib.captioner.model.precision import choose_attention, choose_dtype
from lib.captioner.resident_client import caption_process_env
from lib.captioner.words.prompts import FIXED_PROMPTS
from lib.errors import InputError
from lib.runtime.fingerprints import default_cache_dir, fingerprint_weights, sha256_file

OLDEST_TRANSFORMERS = (4, 49)  # the first that knows Qwen2.5-VL
_OLDEST_FOR = {"smolvlm": (4, 50), "internvl": (4, 52), "qwen3_vl": (4, 57), "qwen3_vl_moe": (4, 57)}
_MEMO = "caption_checks.json"
_REMEMBERED = 100
_REHEARSAL_SECONDS = 300.0  # importing torch from a slow disk takes its time


def check_captioner(env: CaptionEnv, options: CaptionerOptions, project_root: Path) -> None:
    """See that environment and model can caption. A check that passed is remembered until something in it changes.

    Raises:
        InputError: what is missing, and how to get it.
    """
    check_caption_env(env, options.backend)
    if options.backend != "vlm":
        return
    files = find_model(options.model_path or DEFAULT_MODEL)
    _check_version(env, files)
    _check_device(env, options, files)
    key = _check_key(env, options, files)
    if key not in _remembered():
        _rehearse(env, options, project_root)
        _remember(key)


def captioner_fingerprint(env: CaptionEnv, options: CaptionerOptions) -> dict[str, str]:
    """Everything that decides a sentence besides pictures and job.

    Raises:
        InputError: the model is not there or not whole.
    """
    if options.backend == "palette":
        return {"name": "palette", "version": palette.VERSION}
    device = caption_device(env, options.device)
    return {
        "name": "vlm",
        "version": vlm.VERSION,
        "model": fingerprint_weights(find_model(options.model_path or DEFAULT_MODEL).folder),
        "prompts": _sha256([options.system_prompt, *FIXED_PROMPTS]),
        "device": device,
        "dtype": choose_dtype(device, env.capability, options.dtype),
        "attention": choose_attention(options.attention),
        "max_pixels": str(options.max_pixels),
        "multi_sample_merge": options.multi_sample_merge,
        "object_negative_prompt": str(options.object_negative_prompt),
        **{name: env.versions.get(name, "") for name in ("torch", "transformers", "pillow")},
    }


def _check_version(env: CaptionEnv, files: ModelFiles) -> None:
    found = env.versions.get("transformers", "0")
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    oldest = _OLDEST_FOR.get(files.model_type, OLDEST_TRANSFORMERS)
    if numbers < oldest:
        wanted = ".".join(map(str, oldest))
        raise InputError(
            f"Caption environment {env.prefix}: found transformers {found}; {files.name} ({files.model_type}) needs "
            f"{wanted} or newer. Install with: {env.python} -m pip install --upgrade transformers"
        )


def _check_device(env: CaptionEnv, options: CaptionerOptions, files: ModelFiles) -> None:
    """Refuse a model that the device certainly cannot hold, even if nothing else used it."""
    device = caption_device(env, options.device)
    if files.quantisation and device == "cpu":
        raise InputError(f"{files.folder}: its weights are quantised ({files.quantisation}), which needs a GPU")
    dtype = choose_dtype(device, env.capability, options.dtype)
    needed = files.weight_bytes if files.quantisation else files.numbers * (4 if dtype == "float32" else 2)
    memory = env.gpu_bytes if device == "cuda" else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 0 < memory < needed:  # 0: unknown
        where = "GPU" if device == "cuda" else "machine (no GPU is used)"
        raise InputError(
            f"{files.folder}: {files.name} in {dtype} takes {needed / 2**30:.1f} GiB, and the {where} has "
            f"{memory / 2**30:.1f} GiB; take a smaller model or, with a GPU, a quantised one (AWQ)"
        )


def _rehearse(env: CaptionEnv, options: CaptionerOptions, project_root: Path) -> None:
    outcome = _rehearsal(env, options, project_root)
    if not outcome.get("ok"):
        problem = outcome.get("error", "it did not say why")
        raise InputError(f"Caption environment {env.prefix} cannot run the caption model: {problem}")
    expected, found = caption_device(env, options.device), outcome.get("device")
    if found != expected:
        raise InputError(
            f"Caption environment {env.prefix}: by NVIDIA's driver the caption device would be {expected}, and torch "
            f"{env.versions.get('torch', '(unknown)')} finds {found}. The driver may be too old for this torch: make "
            "them fit, or set --caption_device cpu"
        )


def _rehearsal(env: CaptionEnv, options: CaptionerOptions, project_root: Path) -> dict[str, Any]:
    """What the caption environment's interpreter says about it."""
    command = [str(env.python), "-m", "lib.captioner.rehearse", "--options", json.dumps(options.to_dict())]
    try:
        done = subprocess.run(
            command,
            cwd=project_root,
            env=caption_process_env(project_root),
            capture_output=True,
            text=True,
            timeout=_REHEARSAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"ok": False, "error": f"no answer within {_REHEARSAL_SECONDS:.0f} s"}
    with contextlib.suppress(ValueError):
        outcome = json.loads(done.stdout.strip().rpartition("\n")[2])  # the last line, whatever was said before
        if isinstance(outcome, dict):
            return outcome
    said = " | ".join(line.strip() for line in done.stderr.splitlines()[-3:])
    return {"ok": False, "error": f"ended with exit code {done.returncode}: {said}"}


def _check_key(env: CaptionEnv, options: CaptionerOptions, files: ModelFiles) -> str:
    here = Path(__file__).parent
    return _sha256(
        [
            str(env.python),
            env.version,
            sorted(env.versions.items()),
            env.capability,
            {**options.to_dict(), "model_path": None},  # its files stand for it
            {path.name: sha256_file(path) for path in small_files(files.folder)},
            {str(path.relative_to(here)): sha256_file(path) for path in sorted(here.rglob("*.py"))},  # what rehearses
        ]
    )


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _remembered() -> list[str]:
    try:
        keys = json.loads((default_cache_dir() / _MEMO).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return keys if isinstance(keys, list) else []


def _remember(key: str) -> None:
    folder = default_cache_dir()
    draft = folder / f".{_MEMO}.{os.getpid()}"
    with contextlib.suppress(OSError):  # a cache folder that cannot be written costs time, nothing else
        folder.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_text(json.dumps([*_remembered(), key][-_REMEMBERED:]), encoding="utf-8")
            draft.replace(folder / _MEMO)
        finally:
            draft.unlink(missing_ok=True)
