"""The event log of each job: written in transactions, followed by cursors."""
