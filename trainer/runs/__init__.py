"""A run: its folder, its training process, its agent, and the launcher that starts agents."""
