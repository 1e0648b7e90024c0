"""One motion module by itself."""

from eraser_goldens import Golden, each_golden
from hashed_weights import fill

from lib.diffueraser.motion import MotionModule


@each_golden("motion")
def test_motion_module(golden_path):
    golden = Golden(golden_path)
    meta = golden.meta
    module = MotionModule(
        meta["channels"], meta["num_attention_heads"], meta["norm_num_groups"], meta["num_positional_embeddings"]
    )
    fill(module, meta["weight_seed"])
    golden.check_all({"out": module(golden.tensor("hidden_states"), meta["num_frames"])})
