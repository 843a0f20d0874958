"""What the mesh costs, measured against the same work done without it."""
