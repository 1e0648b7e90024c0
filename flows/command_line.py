"""The command line: flags from the settings models, values from a config file, flags first.

Nothing here imports prefect: the launcher must be able to start a server before that.
"""

import dataclasses
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, overload

import tyro
from pydantic import BaseModel, Field, ValidationError, create_model
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from lib.errors import InputError
from lib.plain_yaml import parse_yaml, read_bounded, shortened, shown
from lib.settings import AutoRefineSettings, RemoveSettings, RunSettings, fields_by_name
from lib.settings.inbox import InboxSettings
from lib.settings.study import StudySettings

EXIT_USAGE = 2
_MOST_PROBLEMS = 10  # told at once
_CONFIG = "expected flags by name, like 'video_root: …'"


class RunOptions(BaseModel):
    """How this one call behaves."""

    config: Path | None = Field(
        default=None, description="YAML file with any of these flags by name; flags given here win"
    )
    plan: bool = Field(default=False, description="only print what would be done for each video and phase")
    keep_ui: bool = Field(default=False, description="serve Prefect's UI, also after the run, until Ctrl-C")
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="names other than localhost by which this run's server may be called, as behind a proxy"
    )


AnySettings = RunSettings | InboxSettings
Settings = TypeVar("Settings", bound=AnySettings)
_DESCRIPTIONS: dict[type[AnySettings], tuple[str, str]] = {
    AutoRefineSettings: (
        "auto_refine.py",
        "Remove objects from videos: coarse removal, a caption of the background, refined removal.",
    ),
    RemoveSettings: (
        "remove.py",
        "Remove objects from videos in one pass: --use_anchor fills one frame first, as the prompt says, and lets the "
        "others follow it; --use_text lets the main network follow the prompt.",
    ),
    StudySettings: (
        "study.py",
        "Compare ways of removing the same objects over a data set; variants share what they have in common.",
    ),
    InboxSettings: (
        "inbox.py",
        "Take what is new and whole in an inbox through all phases, and nothing twice; results and a report of each "
        "run go to the outbox.",
    ),
}


@lru_cache
def command_line(settings: type[AnySettings]) -> type[AnySettings]:
    """Everything that can be said on the command line: the settings and how this call behaves."""
    return create_model("CommandLine", __base__=settings, run=(RunOptions, RunOptions()))


_registry = ConstructorRegistry()


@_registry.primitive_rule
def _comma_separated(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Tuples are one word on the command line, as in `--object_ids 1,3`."""
    converters: dict[Any, Callable[[str], Any]] = {tuple[int, ...]: int, tuple[float, ...]: float, tuple[str, ...]: str}
    if type_info.type not in converters:
        return None
    convert = converters[type_info.type]
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="A,B,…",
        instance_from_str=lambda words: tuple(convert(part.strip()) for part in words[0].split(",") if part.strip()),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value))],
    )


@overload
def parse(argv: Sequence[str]) -> tuple[AutoRefineSettings, RunOptions]: ...
@overload
def parse(argv: Sequence[str], wanted: type[Settings]) -> tuple[Settings, RunOptions]: ...
def parse(argv: Sequence[str], wanted: type[AnySettings] = AutoRefineSettings) -> tuple[AnySettings, RunOptions]:
    """Settings from flags and, below them, from the file of `--config`; paths made absolute.

    Args:
        wanted: the settings of which flow.

    Raises:
        InputError: the config file or a value is unusable.
        SystemExit: `--help`, or flags that do not exist (code 2).
    """
    config, model = _config_path(argv), command_line(wanted)
    flags = _flags(model, _read_config(config, fields_by_name(model)) if config else {})
    prog, description = _DESCRIPTIONS[wanted]
    with _registry:
        line = tyro.cli(
            flags,
            prog=prog,
            description=description,
            args=list(argv),
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            use_underscores=True,
        )
    try:
        said = dataclasses.asdict(line)
        options = RunOptions.model_validate(said.pop("run"))
        settings = wanted.model_validate(said)
    except ValidationError as error:
        raise InputError(_explain(error, fields_by_name(model))) from None
    return settings.with_absolute_paths(), options


def _config_path(argv: Sequence[str]) -> Path | None:
    """The value of --config, which must be known before the flags can be built."""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == "--config":
            return Path(following)
        if word.startswith("--config="):
            return Path(word.removeprefix("--config="))
    return None


def _read_config(path: Path, known: Mapping[str, str]) -> dict[str, Any]:
    try:
        content = read_bounded(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a config file ({error.strerror}); {_CONFIG}") from None
    said = parse_yaml(path, content, _CONFIG)
    said = {} if said is None else said
    if not isinstance(said, dict):
        raise InputError(f"{path}: found a {type(said).__name__}; {_CONFIG}")
    if unknown := sorted(str(name) for name in said if str(name).replace("-", "_") not in known):
        raise InputError(f"{path}: unknown names {shortened(', '.join(unknown))}; known are {', '.join(sorted(known))}")
    return {str(name).replace("-", "_"): _listed(value) for name, value in said.items()}


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _flags(line: type[BaseModel], config: dict[str, Any]) -> type[Any]:
    """The settings as plain dataclasses, a group each, with the config file's values as defaults.

    Plain, so that values are checked once, by the models, whose complaints we can word.
    """
    groups = []
    for name, info in line.model_fields.items():
        model: type[BaseModel] = cast(type[BaseModel], info.annotation)
        group = dataclasses.make_dataclass(model.__name__, _group_flags(model, config), kw_only=True)
        group.__doc__ = model.__doc__
        groups.append((name, group))
    return dataclasses.make_dataclass("CommandLine", groups, kw_only=True)


def _group_flags(model: type[BaseModel], config: dict[str, Any]) -> list[Any]:
    given = _checked(model, {name: config[name] for name in model.model_fields if name in config})
    flags = []
    for name, info in model.model_fields.items():
        default = given.get(name, info.default)
        hint = f"(default: {default})" if info.default not in (None, (), False) else ""
        help_text = tyro.conf.arg(help=info.description, help_behavior_hint=hint)
        required = info.is_required() and name not in given
        field = dataclasses.field() if required else dataclasses.field(default=default)
        flags.append((name, Annotated[info.annotation, help_text], field))
    return flags


def _checked(model: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    """The config file's values for one group, as the model understands them."""
    required = [name for name, info in model.model_fields.items() if info.is_required() and name not in given]
    try:
        group = model.model_validate({**dict.fromkeys(required, "."), **given})
    except ValidationError as error:
        raise InputError(_explain(error, model.model_fields)) from None
    return {name: getattr(group, name) for name in given}


def _explain(error: ValidationError, known: Container[str]) -> str:
    """Pydantic's findings in one line each, by flag."""
    lines = []
    for found in error.errors(include_url=False):
        flag = next((f"--{part}: " for part in found["loc"] if str(part) in known), "")
        value = "" if isinstance(found["input"], dict) else f" (found {shown(found['input'])})"
        lines.append(f"{flag}{found['msg'].removeprefix('Value error, ')}{value}")
    more = len(lines) - _MOST_PROBLEMS
    return "\n".join([*lines[:_MOST_PROBLEMS], f"and {more} more like these"] if more > 0 else lines)


def complain(error: Exception) -> int:
    """Print a user's error; the exit code for it."""
    print(f"auto-refine: {error}", file=sys.stderr)
    return EXIT_USAGE
