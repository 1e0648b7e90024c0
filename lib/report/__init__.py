"""Pages for people, made of what a run has written."""
