"""Start the trainer server: ``python -m examples.trainer_centroid``."""

from trainer.app import main

if __name__ == "__main__":
    main("examples.trainer_centroid.adapter:CentroidAdapter")
