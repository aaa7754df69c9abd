"""What is remembered: ledger, archive, legal holds."""
