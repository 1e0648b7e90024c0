"""Describes the visible background of a video in one sentence and keeps it in a YAML file that a person may edit.

What runs in the caption environment (everything but `environment.py`, `readiness.py`, `resident_client.py` and
`schema.py`, which look at it from outside) needs Python 3.10, numpy, pillow and pyyaml, PyAV to read videos on its own,
and what the chosen backend needs: torch and transformers for `vlm`.

A question's way: `sources` and `frames` give a grayed picture, `vlm` decides what is asked and which answer is taken,
`model/` asks, `words/` has the questions and cleans the answers, `prompt_file` keeps. `palette` does without a model.
"""
