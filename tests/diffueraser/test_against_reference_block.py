"""The motion UNet's blocks one by one."""

from eraser_goldens import Golden, each_golden, motion_unet


@each_golden("block")
def test_block(golden_path):
    golden = Golden(golden_path)
    unet = motion_unet(golden.config, golden.meta["weight_seed"])
    x, temb = golden.tensor("hidden_states"), golden.tensor("temb")
    text, adds = golden.tensor("encoder_hidden_states"), golden.tensors("add")
    frames = golden.meta["num_frames"]
    if golden.meta["which"] == "mid":
        golden.check_all({"out": unet.run_mid(x, temb, text, frames, adds)})
        return
    way, level = golden.meta["which"]
    if way == "down":
        out, skips = unet.run_down(level, x, temb, text, frames, adds)
        golden.check_all({"out": out} | {f"skip_{index:02}": skip for index, skip in enumerate(skips)})
    else:
        grows = level < len(golden.config.block_out_channels) - 1
        size = (2 * x.shape[2] - 1, 2 * x.shape[3] - 1) if grows else None
        golden.check_all({"out": unet.run_up(level, x, golden.tensors("skip"), temb, text, frames, adds, size)})
