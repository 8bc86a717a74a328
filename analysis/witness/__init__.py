"""Witnesses: the paper's main statements tried on trained models of other people. ``python -m analysis.witness``.

Nobody here trained these models, chose their architecture, or can tune them to a statement. Their weights are not part
of the project; what was measured on them is (``committed``, with the sha256 of each file).

    witnesses, pulfer, csdi    the models and their files
    plan, arms, sampling       what is sampled, and how        measure, rows, write     its rows and tables
    prediction                 the cliff, predicted and measured        predicted       its rows and table
"""
