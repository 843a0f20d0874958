"""InferenceService: finds the checkpoint, picks a trainer and passes the image on."""

from gateway.inference.service import InferenceService
from gateway.inference.servicer import InferenceServicer

__all__ = ["InferenceService", "InferenceServicer"]
