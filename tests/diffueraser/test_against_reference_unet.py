"""The motion UNet as a whole."""

from eraser_goldens import Golden, each_golden, motion_unet

from lib.diffueraser.brushnet import Residuals


@each_golden("unet")
def test_predicted_noise(golden_path):
    golden = Golden(golden_path)
    residuals = None
    if golden.meta["residuals"]:
        residuals = Residuals(tuple(golden.tensors("down")), golden.tensor("mid"), tuple(golden.tensors("up")))
    text = golden.tensor("encoder_hidden_states")
    assert len(text) == golden.meta["batch"]
    unet = motion_unet(golden.config, golden.meta["weight_seed"])
    sample, timestep, frames = golden.tensor("sample"), golden.meta["timestep"], golden.meta["num_frames"]
    golden.check_all({"out": unet(sample, timestep, text, frames, residuals)})
