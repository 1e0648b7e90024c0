"""Metrics that take trained networks, from weight files on this machine."""
