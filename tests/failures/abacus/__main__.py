"""A trainer server without torch, which starts in a second: ``python -m tests.failures.abacus``."""

from trainer.app import main

if __name__ == "__main__":
    main("tests.failures.abacus.adapter:AbacusAdapter")
