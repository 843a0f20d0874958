"""What the servers of the mesh share about gRPC: errors, interceptors, channels, logs. It knows the stubs alone."""
