"""The timm trainer: image classification with every architecture of timm, served through the shared trainer kit."""
