"""Pixels carried along flow."""

from golden_support import Golden, each_golden, holes, images_in_range

from lib.propainter.image_propagation import ImagePropagation
from lib.propainter.warping import consistency


@each_golden("imgprop")
def test_both_passes(golden_path, monkeypatch):
    golden = Golden(golden_path)
    masks = holes(golden.input("masks"))
    frames = images_in_range(golden.input("frames")) * (1 - masks)
    forward, backward = golden.tensor("flow_f"), golden.tensor("flow_b")
    propagation = ImagePropagation(golden.params["interpolation"])
    passes, one_way = [], propagation.one_way
    monkeypatch.setattr(propagation, "one_way", lambda *inputs: passes.append(one_way(*inputs)) or passes[-1])
    filled, updated = propagation(frames, forward, backward, masks)
    golden.check_all(
        {
            "after_backward": passes[0][0].flip(0)[None],
            "prop_frames": filled[None],
            "updated_masks": updated[None],
            "valid_f": consistency(forward, backward),
        }
    )
