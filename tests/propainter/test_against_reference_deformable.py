"""The deformable convolution, and the two alignments built on it."""

import torch
from golden_support import Golden, each_golden, uniform_noise
from weight_filler import FLOW_COMPLETION, GENERATOR

from lib.propainter.deformable import deform_conv2d


@each_golden("dcn")
def test_deform_conv2d(golden_path):
    golden = Golden(golden_path)
    names = ("x", "offset", "mask", "weight", "bias")
    values = {}
    for index, spec in enumerate(golden.params["specs"]):
        inputs = [golden.tensor(f"{name}{index}") for name in names]
        values[f"y{index}"] = deform_conv2d(*inputs, spec["stride"], spec["pad"], spec["dilation"])
    golden.check_all(values)


@each_golden("align")
def test_alignments(golden_path, network):
    golden = Golden(golden_path)
    of_flow = network(FLOW_COMPLETION, golden.seed).feat_prop_module.deform_align["forward_"]
    of_features = network(GENERATOR, golden.seed).feat_prop_module.deform_align["backward_1"]
    x1, c1, x2, c2, flow = (golden.tensor(name) for name in ("x1", "c1", "x2", "c2", "fl"))
    golden.check_all({"flowcomp": of_flow(x1, c1), "propainter": of_features(x2, c2, flow)})


def test_without_offsets_it_is_a_convolution():
    x, weight = (torch.from_numpy(uniform_noise(0, str(shape), shape)) for shape in ((2, 8, 5, 6), (4, 8, 3, 3)))
    offset, mask = torch.zeros(2, 2 * 4 * 9, 5, 6), torch.full((2, 4 * 9, 5, 6), 0.5)
    plain = torch.nn.functional.conv2d(x, weight, padding=1) / 2
    assert torch.allclose(deform_conv2d(x, offset, mask, weight, None), plain, atol=1e-5)
