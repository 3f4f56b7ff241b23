"""A replication of Lima & Bak (2018), number by number."""

__version__ = "0.1.0"
