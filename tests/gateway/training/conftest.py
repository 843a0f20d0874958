"""Jobs need a gateway, a trainer and agents."""

from tests.gateway.job_fixtures import ada, ben, closed_mesh, mesh, pets, trainer

__all__ = ["ada", "ben", "closed_mesh", "mesh", "pets", "trainer"]
