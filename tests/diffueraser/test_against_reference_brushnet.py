"""BrushNet's residuals."""

from eraser_goldens import Golden, brushnet, each_golden


@each_golden("brushnet")
def test_residuals(golden_path):
    golden = Golden(golden_path)
    cond = golden.tensor("brushnet_cond").clone()
    cond[:, 4] = (cond[:, 4] > 0).float()  # the mask
    residuals = brushnet(golden.config, golden.meta["weight_seed"])(
        golden.tensor("sample"),
        golden.meta["timestep"],
        golden.tensor("encoder_hidden_states"),
        cond,
        scale=golden.meta["conditioning_scale"],
    )
    values = {f"down_{index:02}": value for index, value in enumerate(residuals.down)}
    values |= {f"up_{index:02}": value for index, value in enumerate(residuals.up)}
    golden.check_all(values | {"mid": residuals.mid})
