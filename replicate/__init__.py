"""A replication of Lima & Bak (2018), number by number."""
