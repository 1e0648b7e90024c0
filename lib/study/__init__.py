"""What a study comes to: tables, intervals, plots, votes."""
