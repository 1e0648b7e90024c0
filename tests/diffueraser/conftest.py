import pytest
import torch


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield
