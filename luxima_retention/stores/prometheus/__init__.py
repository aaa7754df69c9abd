"""Prometheus, checked and never changed: what its replicas say (``reading``), what follows (``verdict``)."""
