"""What run agents report: ingest, commands, leases."""
