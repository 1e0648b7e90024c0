"""The inpainting generator."""

import torch
from golden_support import Golden, Taps, each_golden, holes, images_in_range
from weight_filler import GENERATOR

from lib.propainter.generator import shrink_masks
from lib.propainter.transformer import touched_windows

ALIGNMENTS = {way: f"feat_prop_module.deform_align.{way}_1" for way in ("backward", "forward")}
BLOCK = "transformers.transformer"


@each_golden("gen")
def test_one_window_with_inner_values(golden_path, network):
    golden = Golden(golden_path)
    net = network(GENERATOR, golden.seed)
    masks, updated = holes(golden.input("masks")), holes(golden.input("updated_masks"))
    frames = images_in_range(golden.input("frames")) * (1 - updated)
    taps = Taps()
    with taps.watching(net, ("encoder", "feat_prop_module", "ss", *ALIGNMENTS.values())):
        flows = (golden.tensor("flow_f"), golden.tensor("flow_b"))
        painted = net(frames, *flows, masks, updated, golden.params["l_t"])
    values = {
        "frames_out": painted[None],
        "tap_encoder": torch.cat(taps.calls["encoder"]),
        "tap_feat_prop": taps.first("feat_prop_module")[None],
        "tap_soft_split": taps.first("ss")[None],
    }
    values |= {f"tap_align_{way}": taps.first(name) for way, name in ALIGNMENTS.items() if name in taps.calls}
    golden.check_all(values | transformer_taps(net, taps.first("ss"), masks[: golden.params["l_t"]]))


def transformer_taps(net, tokens, local_masks):
    """The transformer once more, asked for all frames: above, its last block answered for the local ones only."""
    small = shrink_masks(local_masks)
    size = (small.shape[2], small.shape[3])
    taps = Taps()
    with taps.watching(net, [f"{BLOCK}.{name}" for name in ("0", "1", "7", "0.attention", "0.mlp")]):
        tokens = net.transformers(tokens, touched_windows(small), size)
    values = {f"tap_block{index}": taps.first(f"{BLOCK}.{index}")[None] for index in (0, 1, 7)}
    return values | {
        "tap_attn0": taps.first(f"{BLOCK}.0.attention")[None],
        "tap_mlp0": taps.first(f"{BLOCK}.0.mlp").flatten(0, 2)[None],
        "tap_soft_comp": net.sc(tokens, size),
    }
