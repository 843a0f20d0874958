"""The ``visionmesh`` command: one module per group of commands."""
