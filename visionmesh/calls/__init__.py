"""What ``visionmesh.client.Client`` is made of, one room of the contract per module."""
