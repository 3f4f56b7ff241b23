"""Corpora: files on disk -> one utterance table, samples and tokens, cohort and folds."""
