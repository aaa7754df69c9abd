"""Applies Luxima's log retention matrix to every store, and proves that it did."""

__version__ = "0.1.0"
