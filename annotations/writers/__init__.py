"""The model written as what frameworks read: one module for each format. No parser is needed here."""
