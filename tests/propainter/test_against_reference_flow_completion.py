"""Flow inside the hole."""

import torch
from golden_support import Golden, Taps, each_golden, holes
from weight_filler import FLOW_COMPLETION

from lib.propainter.flow_completion import complete_flows

FRAMES_FIRST = ("downsample", "mid_dilation", "decoder2", "decoder1")  # (t, c, h, w), perhaps in several calls


@each_golden("flowcomp")
def test_both_directions_with_inner_values(golden_path, network):
    golden = Golden(golden_path)
    net = network(FLOW_COMPLETION, golden.seed)
    forward, backward, masks = golden.tensor("flow_f"), golden.tensor("flow_b"), holes(golden.input("masks"))
    taps = Taps()
    with taps.watching(net, (*FRAMES_FIRST, "encoder1", "encoder2", "feat_prop_module")):
        predicted_forward = predict(net, forward, masks[:-1])
    predicted_backward = predict(net, backward.flip(0), masks[1:].flip(0)).flip(1)
    completed_forward, completed_backward = complete_flows(net, forward, backward, masks)
    golden.check_all(
        {
            "pred_f": predicted_forward,
            "pred_b": predicted_backward,
            "comb_f": completed_forward[None],
            "comb_b": completed_backward[None],
        }
        | forward_taps(taps)
    )


def predict(net, flow, masks):
    """(t, 2, h, w) and (t, 1, h, w) -> (1, t, 2, h, w)."""
    return net((flow * (1 - masks))[None], masks[None])


def forward_taps(taps):
    """The reference's layouts: (t, c, h, w) in the decoder, (1, c, t, h, w) before the propagation."""
    frames = {name: torch.cat(taps.calls[name]) for name in FRAMES_FIRST}
    return {
        "fwd_downsample": frames["downsample"].transpose(0, 1)[None],
        "fwd_encoder1": taps.first("encoder1").transpose(1, 2),
        "fwd_encoder2": taps.first("encoder2").transpose(1, 2),
        "fwd_mid_dilation": frames["mid_dilation"].transpose(0, 1)[None],
        "fwd_feat_prop_module": taps.first("feat_prop_module"),
        "fwd_decoder2": frames["decoder2"],
        "fwd_decoder1": frames["decoder1"],
    }
