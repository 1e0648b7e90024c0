"""Published weight files and damaged ones. Bad files are made of the smallest network's tensors: the code is shared."""

import os
import pickle
import re

import pytest
import torch
from golden_support import LOADERS
from weight_filler import FLOW_COMPLETION, GENERATOR, RAFT, manifest, random_state

from lib.errors import InputError
from lib.propainter.checkpoints import load_flow_completion, load_raft
from lib.propainter.weight_files import FILES, check_model_dir

NOT_FOR_INFERENCE = {
    RAFT: [
        f"cnet.layer{layer}.0.norm3.{name}"
        for layer in (2, 3)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ],
    FLOW_COMPLETION: [
        f"edgeDetector.{layer}.{name}"
        for layer in ("projection.0", "mid_layer_1.0", "mid_layer_2.0", "out_layer")
        for name in ("weight", "bias")
    ],
    GENERATOR: [],
}
KEY = "fusion.bias"


@pytest.fixture(scope="module")
def raft_weights():
    return random_state(RAFT, 0)


@pytest.fixture(scope="module")
def flow_weights():
    return random_state(FLOW_COMPLETION, 0)


def saved(weights, folder, name=FLOW_COMPLETION):
    torch.save(weights, folder / f"{name}.pth")
    return folder / f"{name}.pth"


def same(net, other):
    pairs = zip(net.state_dict().items(), other.state_dict().items(), strict=True)
    return all(key == other_key and torch.equal(value, other_value) for (key, value), (other_key, other_value) in pairs)


@pytest.mark.parametrize("name", LOADERS)
def test_every_published_tensor_has_its_place(name, network):
    published = {key.removeprefix("module."): shape for key, shape in manifest(name).items()}
    built = {key: list(value.shape) for key, value in network(name, 0).state_dict().items()}
    assert published == built | {key: published[key] for key in NOT_FOR_INFERENCE[name]}
    assert not set(NOT_FOR_INFERENCE[name]) & set(built)


@pytest.mark.parametrize("name", LOADERS)
def test_published_files_are_loaded_ready_for_inference(name, network):
    net = network(name, 0)
    weights = {key.removeprefix("module."): value for key, value in random_state(name, 0).items()}
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_prefix_of_parallel_training_makes_no_difference(tmp_path, raft_weights, flow_weights, network):
    with_prefix = {f"module.{key}": value for key, value in flow_weights.items()}
    assert same(load_flow_completion(saved(with_prefix, tmp_path)), network(FLOW_COMPLETION, 0))
    without = {key.removeprefix("module."): value for key, value in raft_weights.items()}
    assert same(load_raft(saved(without, tmp_path, RAFT)), network(RAFT, 0))


@pytest.mark.parametrize("part", ["num_batches_tracked", ".norm3."])
def test_keys_that_older_files_lack_may_be_missing(tmp_path, raft_weights, network, part):
    fewer = {key: value for key, value in raft_weights.items() if part not in key}
    assert len(fewer) < len(raft_weights)
    loaded, expected = load_raft(saved(fewer, tmp_path, RAFT)), network(RAFT, 0)
    assert all(torch.equal(*pair) for pair in zip(loaded.parameters(), expected.parameters(), strict=True))
    assert torch.equal(loaded.cnet.norm1.running_mean, expected.cnet.norm1.running_mean)


def test_of_twins_that_differ_the_later_one_counts(tmp_path, raft_weights, network):
    differing = {key: value + 1 if ".norm3." in key else value for key, value in raft_weights.items()}
    assert same(load_raft(saved(differing, tmp_path, RAFT)), network(RAFT, 0))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda weights: weights.pop(f"feat_prop_module.{KEY}"), f"feat_prop_module.{KEY} missing"),
        (lambda weights: weights.update(surplus=torch.zeros(1)), "surplus unexpected"),
        (
            lambda weights: weights.update({f"feat_prop_module.{KEY}": torch.zeros(7)}),
            f"feat_prop_module.{KEY} (7,) instead of (128,) of another shape",
        ),
    ],
    ids=["missing", "unexpected", "wrong shape"],
)
def test_keys_that_do_not_fit_are_named(tmp_path, flow_weights, change, expected):
    weights = dict(flow_weights)
    change(weights)
    path = saved(weights, tmp_path)
    with pytest.raises(InputError, match=re.escape(expected)) as raised:
        load_flow_completion(path)
    assert str(path) in str(raised.value)


def test_another_networks_file_is_refused_in_a_short_message(tmp_path, flow_weights):
    path = saved(flow_weights, tmp_path, RAFT)
    with pytest.raises(InputError, match=r"missing.*unexpected") as raised:
        load_raft(path)
    assert len(str(raised.value)) < 1500


class Code:
    """What a file could do if it were unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def write_truncated(path, weights):
    torch.save(weights, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def write_empty(path, weights):
    path.write_bytes(b"")


def write_web_page(path, weights):
    path.write_text("<!DOCTYPE html><title>Sign in</title>")


def write_list(path, weights):
    torch.save(list(weights.values())[:2], path)


def write_code(path, weights):
    torch.save(Code(), path)


def write_bare_code(path, weights):
    path.write_bytes(pickle.dumps(Code()))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "write", [write_truncated, write_empty, write_web_page, write_list, write_code, write_bare_code]
)
def test_files_that_are_no_checkpoints_give_one_clear_error(tmp_path, monkeypatch, flow_weights, write):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{FLOW_COMPLETION}.pth"
    write(path, flow_weights)
    with pytest.raises(InputError, match=r"cannot be read as a checkpoint .* download it again") as raised:
        load_flow_completion(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "executed").exists()


def test_complete_folder_is_accepted(model_dir):
    check_model_dir(model_dir(0))


def test_missing_files_are_named(tmp_path, flow_weights):
    with pytest.raises(InputError, match="no such folder"):
        check_model_dir(tmp_path / "weights")
    path = saved(flow_weights, tmp_path)
    with pytest.raises(InputError, match=r"raft-things\.pth, ProPainter\.pth missing"):
        check_model_dir(tmp_path)
    with pytest.raises(InputError, match=r"gone\.pth.*no such file"):
        load_raft(path.with_name("gone.pth"))


@pytest.mark.parametrize("write", [write_truncated, write_empty, write_web_page])
def test_folder_with_a_damaged_file_is_refused_at_once(tmp_path, flow_weights, write):
    for name in FILES:
        torch.save({}, tmp_path / name)
    check_model_dir(tmp_path)
    write(tmp_path / FILES[0], flow_weights)
    with pytest.raises(InputError, match=r"raft-things\.pth: cannot be read as a checkpoint"):
        check_model_dir(tmp_path)
