"""Client, command and typed stubs of VisionMesh."""
