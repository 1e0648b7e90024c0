"""Pools, limits, environments and services around the flows."""

import os

GPU_POOL = "gpu-pool"  # what people and schedules start; GPUs are leased, so its workers need no limit
SHARD_POOL = "shard-pool"  # parts of a batch; a box's worker takes one at a time
CAPTION_POOL = "caption-pool"


def caption_pool() -> str:
    """The pool whose worker can run captions for this process: with several boxes each has its own."""
    return os.environ.get("AUTO_REFINE_CAPTION_POOL") or CAPTION_POOL
