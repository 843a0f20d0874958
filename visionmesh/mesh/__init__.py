"""Generated from the protos by ``make protos``: do not edit."""
