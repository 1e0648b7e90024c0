"""Pools, limits, environments and services around the flows."""

import os

GPU_POOL = "gpu-pool"  # what people and schedules start; GPUs are leased, so its workers need no limit
SHARD_POOL = "shard-pool"  # parts of a batch; a box's worker takes one at a time
CAPTION_POOL = "caption-pool"
CAPTION_DEPLOYMENT = "caption-videos"
AUTOMATIONS = (
    "auto-refine: lost runs are crashed",
    "auto-refine: runs that never began are crashed",
    "auto-refine: cancelled runs without a worker are over",
    "auto-refine: a crashed run is run once more",
)


def caption_pool_name() -> str:
    """The pool whose worker can run captions for this process: with several boxes each has its own."""
    return os.environ.get("AUTO_REFINE_CAPTION_POOL") or CAPTION_POOL


def caption_deployment_name() -> str:
    """Of the captioner's flow in that pool: caption-videos in caption-pool, caption-videos-x in caption-pool-x."""
    pool = caption_pool_name()
    return f"{CAPTION_DEPLOYMENT}{pool.removeprefix(CAPTION_POOL)}" if pool.startswith(CAPTION_POOL) else pool
