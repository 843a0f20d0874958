"""Datasets: upload, analysis, listing, deletion."""
