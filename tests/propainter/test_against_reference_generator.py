"""The inpainting generator."""

import torch
from golden_support import Golden, Taps, each_golden, holes, images_in_range
from weight_filler import GENERATOR

ALIGNMENTS = {way: f"feat_prop_module.deform_align.{way}_1" for way in ("backward", "forward")}
BLOCK = "transformers.transformer"


@each_golden("gen")
def test_one_window_with_inner_values(golden_path, network):
    golden = Golden(golden_path)
    net = network(GENERATOR, golden.seed)
    masks, updated = holes(golden.input("masks")), holes(golden.input("updated_masks"))
    frames = images_in_range(golden.input("frames")) * (1 - updated)
    taps, transformer_inputs = Taps(), []
    hook = net.transformers.register_forward_pre_hook(lambda _, inputs: transformer_inputs.append(inputs))
    with taps.watching(net, ("encoder", "feat_prop_module", *ALIGNMENTS.values())):
        flows = (golden.tensor("flow_f"), golden.tensor("flow_b"))
        painted = net(frames, *flows, masks, updated, golden.params["l_t"])
    hook.remove()
    values = {
        "frames_out": painted[None],
        "tap_encoder": torch.cat(taps.calls["encoder"]),
        "tap_feat_prop": taps.first("feat_prop_module")[None],
    }
    values |= {f"tap_align_{way}": taps.first(name) for way, name in ALIGNMENTS.items() if name in taps.calls}
    golden.check_all(values | transformer_values(net, *transformer_inputs[0]))


def transformer_values(net, tokens, touched, size):
    """The transformer once more, asked for all frames: above, its last block answered for the local ones only."""
    taps = Taps()
    with taps.watching(net, [f"{BLOCK}.{name}" for name in ("0", "1", "7", "0.attention", "0.mlp")]):
        answered = net.transformers(tokens, touched, size)
    values = {f"tap_block{index}": taps.first(f"{BLOCK}.{index}")[None] for index in (0, 1, 7)}
    return values | {
        "tap_soft_split": tokens[None],
        "tap_attn0": taps.first(f"{BLOCK}.0.attention")[None],
        "tap_mlp0": taps.first(f"{BLOCK}.0.mlp").flatten(0, 2)[None],
        "tap_soft_comp": net.sc(answered, size),
    }
