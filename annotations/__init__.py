"""What is annotated on the images of a dataset: one model, whatever format it came in, and the formats around it."""
