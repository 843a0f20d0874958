"""The formats that datasets come in: one module each, which reads it, and writes it where a trainer needs that."""
