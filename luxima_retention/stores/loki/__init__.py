"""Loki's objects in S3: keys, index files, buckets, and their expiry in two phases."""
