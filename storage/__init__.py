"""Records (``database``) and bytes (``objects``). Knows neither gRPC nor torch."""
