"""What every trainer server shares: adapter protocol, servicer, run agent, spool, caches, predictors."""
