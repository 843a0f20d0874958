"""RegistryService: frameworks, models and configuration schemas, as the trainers of the fleet tell them."""

from gateway.registry.service import RegistryService
from gateway.registry.servicer import RegistryServicer

__all__ = ["RegistryService", "RegistryServicer"]
