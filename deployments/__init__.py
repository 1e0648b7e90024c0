"""Pools, limits, environments and services around the flows."""

CAPTION_POOL = "caption-pool"
