"""One run's mathematics: its identity, its gradient flow to the end, and what theory predicts. It writes no file."""
