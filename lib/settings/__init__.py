"""All settings of a run: one source for flow parameters, command-line flags, config files and cache keys.

Each group is one section of `--help`. A flag is the field's own name (`--video_root`; dashes are accepted too).
"""

from lib.settings.engines import (
    ANCHORS_OF_ENGINE,
    Anchor,
    AnchorName,
    DiffuEraserOptions,
    Engine,
    EngineName,
    PropainterPrior,
    RemoveAnchor,
)
from lib.settings.groups import (
    BatchExecution,
    CaptionEnvironment,
    Execution,
    InputOutput,
    InputRules,
    Judge,
    Metrics,
    Phase1Speed,
    PhaseControl,
    Processing,
    Products,
    Prompts,
    RemoveControl,
    RemoveExecution,
    RemoveInputOutput,
    RemovePrompts,
    SettingsGroup,
)
from lib.settings.runs import AutoRefineSettings, RemoveSettings, RunSettings, fields_by_name

__all__ = [
    "ANCHORS_OF_ENGINE",
    "Anchor",
    "AnchorName",
    "AutoRefineSettings",
    "BatchExecution",
    "CaptionEnvironment",
    "DiffuEraserOptions",
    "Engine",
    "EngineName",
    "Execution",
    "InputOutput",
    "InputRules",
    "Judge",
    "Metrics",
    "Phase1Speed",
    "PhaseControl",
    "Processing",
    "Products",
    "Prompts",
    "PropainterPrior",
    "RemoveAnchor",
    "RemoveControl",
    "RemoveExecution",
    "RemoveInputOutput",
    "RemovePrompts",
    "RemoveSettings",
    "RunSettings",
    "SettingsGroup",
    "fields_by_name",
]
