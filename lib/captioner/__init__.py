"""Describes the visible background of a video in one sentence and keeps it in a YAML file that a person may edit.

What runs in the caption environment (everything but `schema.py` and `environment.py`) needs Python 3.10, numpy, pillow
and pyyaml, PyAV to read videos on its own, and what the chosen backend needs.
"""
