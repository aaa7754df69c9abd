"""Changes of conditions that a test must notice: ``python -m tests.mutants``; see docs/testing.md."""
