"""Words only: what the model is told, and what is made of its answers."""
