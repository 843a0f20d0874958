"""Training jobs: their rules, their attempts, and who watches them."""
