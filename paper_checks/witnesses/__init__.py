"""The paper's main statements on trained models of other people, from committed rows (``analysis.witness``)."""
