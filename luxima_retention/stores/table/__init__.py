"""Rows of a table in PostgreSQL."""
