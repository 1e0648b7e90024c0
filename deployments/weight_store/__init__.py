"""The published weights: which files are needed, where they come from, and the record of what came."""
