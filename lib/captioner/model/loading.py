"""Loads the weights of a vision-language model onto a GPU or the CPU, or says in one line why that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.captioner.model.libraries import import_transformers, transformers_version
from lib.captioner.model.precision import choose_attention, choose_dtype
from lib.captioner.model.processors import LOCAL, first_line, load_config
from lib.errors import InputError

_LISTED = 3  # tensors that an error names
# How torch and the libraries below it say that memory is used up, besides an exception of its own.
_MEMORY_WORDS = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class LoadedModel:
    """A model and how it was loaded."""

    model: Any  # of transformers, ready to generate
    device: str  # "cuda" or "cpu"
    attention: str


@dataclass(frozen=True)
class LoadingPlan:
    """How a model is going to be loaded."""

    device: str  # "cuda" or "cpu"
    numbers: str  # torch's name of their type, or "auto": as the weights are
    attention: str


def plan_loading(folder: Path, device: str, dtype: str, attention: str) -> LoadingPlan:
    """How `load_model` will load the model; its weights are not read.

    Raises:
        InputError: the choices do not go with each other, with the model or with this machine.
    """
    device, config = choose_device(device), load_config(folder)
    numbers = _numbers(folder, config, device, dtype)
    attention = choose_attention(attention)
    if attention == "flash_attention_2" and (device == "cpu" or numbers == "float32"):
        found = f"the device {device} and the dtype {numbers}"
        raise InputError(f"flash_attention_2 runs on a GPU in bfloat16 or float16; found {found}: choose sdpa")
    return LoadingPlan(device, numbers, attention)


def load_model(folder: Path, device: str, dtype: str, attention: str) -> LoadedModel:
    """The model with its weights. Nothing is fetched, and no code of the folder is run.

    Args:
        folder: as `lib.captioner.model.files.find_model` found it.
        device: "auto", "cuda" or "cpu".
        dtype: one of `lib.captioner.model.precision.DTYPES`; "auto" leaves quantised weights as they are.
        attention: one of `lib.captioner.model.precision.ATTENTIONS`.

    Raises:
        InputError: no such device, memory, package, or weights that are damaged or not those of the configuration.
    """
    plan = plan_loading(folder, device, dtype, attention)
    model, report = _from_pretrained(folder, plan)
    if missing := sorted(report["missing_keys"]):
        listed = ", ".join(missing[:_LISTED]) + (" …" if len(missing) > _LISTED else "")
        raise InputError(f"{folder}: the weights lack {len(missing)} tensors ({listed}); fetch the model again")
    return LoadedModel(model.eval(), plan.device, plan.attention)


def choose_device(wanted: str) -> str:
    """ "cuda" where a GPU is wanted or, with "auto", is there; else "cpu".

    Raises:
        InputError: a GPU is wanted and torch finds none.
    """
    import torch

    if wanted not in ("auto", "cuda", "cpu"):
        raise InputError(f"found the caption device {wanted!r}; expected auto, cuda or cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        found = f"torch {torch.__version__} finds no GPU"
        raise InputError(f"the caption device is cuda and {found}; choose cpu or auto, or mend the driver")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory is used up, in whatever words."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS)


def no_memory(doing: str, device: str) -> InputError:
    """What to say when memory does not hold the model at work, with how much there is."""
    advice = "take a smaller model, or a quantised one (AWQ) on a GPU, or lower --caption_max_pixels"
    if device == "cpu":
        return InputError(f"out of memory while {doing}; {advice}")
    import torch

    free, total = (size / 2**30 for size in torch.cuda.mem_get_info())
    ours = torch.cuda.memory_allocated() / 2**30
    return InputError(
        f"out of GPU memory while {doing}: of {total:.1f} GiB {free:.1f} are free and {ours:.1f} hold the model; end "
        f"other programs on the GPU, {advice}, or set the caption device to cpu"
    )


def _numbers(folder: Path, config: Any, device: str, wanted: str) -> str:
    """The name of torch's type, or "auto": as the weights are."""
    import torch

    capability = torch.cuda.get_device_capability() if device == "cuda" else None
    chosen = choose_dtype(device, capability, wanted)
    if getattr(config, "quantization_config", None) is None:
        return chosen
    if device == "cpu":
        raise InputError(f"{folder}: its weights are quantised, which needs a GPU; take the unquantised model on a CPU")
    return "auto" if wanted == "auto" else chosen


def _from_pretrained(folder: Path, plan: LoadingPlan) -> tuple[Any, dict[str, Any]]:
    import torch

    transformers = import_transformers()
    straight = plan.device == "cuda" and transformers.utils.is_accelerate_available()  # without a copy in host memory
    options = {"attn_implementation": plan.attention, **({"device_map": {"": plan.device}} if straight else {})}
    number_type = getattr(torch, plan.numbers, plan.numbers)
    options["dtype" if transformers_version() >= (4, 56) else "torch_dtype"] = number_type
    load = transformers.AutoModelForImageTextToText.from_pretrained
    try:
        model, report = load(folder, output_loading_info=True, **options, **LOCAL)
        return (model if straight else model.to(plan.device)), report
    except ImportError as error:
        raise InputError(f"{folder}: a package that the model needs is missing: {first_line(error)}") from None
    except Exception as error:
        if ran_out_of_memory(error):
            raise no_memory(f"loading {folder}", plan.device) from None
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{folder}: the model cannot be loaded ({problem}); fetch it again") from error
