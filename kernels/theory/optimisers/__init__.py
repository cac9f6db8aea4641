"""The optimisation problems that predictions are solutions of, and the residuals that certify a solution."""
