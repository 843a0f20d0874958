"""The warm parent: a process that has a framework imported, and from which training processes are forked."""
