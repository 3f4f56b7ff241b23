"""A criterion for each of the paper's claims, and from stored runs to verdicts."""
