"""The formats that datasets come in: one module for each, which reads it into the model."""
