"""Start the YOLO trainer server: ``python -m trainer_yolo``."""

from trainer.app import main

if __name__ == "__main__":
    main("trainer_yolo.adapter:YoloAdapter")
