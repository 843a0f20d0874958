"""Datasets and checkpoints on local disk, shared by all agents and servers of one machine."""
