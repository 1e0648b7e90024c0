"""The form that Prefect's UI makes of the settings."""

import pytest
from prefect.utilities.callables import parameter_schema

from flows.auto_refine import auto_refine
from flows.inbox import auto_refine_inbox
from flows.remove import remove


@pytest.mark.parametrize("flow", [auto_refine, auto_refine_inbox, remove], ids=lambda flow: flow.name)
def test_fields_come_in_the_order_of_the_settings(flow):
    """PostgreSQL sorts the keys of what it keeps as JSON: the order must be said."""
    definitions = parameter_schema(flow.fn).definitions
    assert len(definitions) > 8
    for name, group in definitions.items():
        positions = [field.get("position") for field in group["properties"].values()]
        assert positions == list(range(len(positions))), name


@pytest.mark.parametrize("flow", [auto_refine, remove], ids=lambda flow: flow.name)
def test_videos_and_folders_come_first(flow):
    [settings] = [d for name, d in parameter_schema(flow.fn).definitions.items() if name.endswith("Settings")]
    assert next(iter(settings["properties"])) == "input_output"
    assert settings["required"] == ["input_output"]
