"""What trainers that compute with torch share: state as tensors and JSON, checkpoint files, random numbers."""
