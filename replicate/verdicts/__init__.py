"""From the paper's claims and stored runs to verdicts."""
