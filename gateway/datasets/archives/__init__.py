"""Archives that are unpacked as a stream while they arrive: one file of them is known at a time, never the whole."""
