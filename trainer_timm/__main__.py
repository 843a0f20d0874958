"""Start the timm trainer server: ``python -m trainer_timm``."""

from trainer.app import main

if __name__ == "__main__":
    main("trainer_timm.adapter:TimmAdapter")
