"""Tempo, checked and never changed: what it says (``reading``), what follows (``verdict``)."""
