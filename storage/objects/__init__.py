"""Bytes by key: one protocol (``store``), its implementations, and the keys and manifests laid over them."""
