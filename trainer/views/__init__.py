"""Images to classify, made of a dataset whose images carry objects (``DatasetView`` of the contract)."""
