"""One run's mathematics: from its identity to its end, and what theory says of that. It writes no file."""
