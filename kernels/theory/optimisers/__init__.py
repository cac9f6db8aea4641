"""The optimisation problems whose solutions are predictions, and the residuals that certify a solution."""
