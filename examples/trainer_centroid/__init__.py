"""A framework in a hundred lines: scikit-learn's nearest centroid, as docs/adding-a-framework.md walks through it."""
