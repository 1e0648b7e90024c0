"""A watched folder: what is new and whole in it, and what has become of each video."""
