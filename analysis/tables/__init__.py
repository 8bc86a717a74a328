"""The paper's tables on the models of the zoo: measured cells beside the paper's numbers, which are never mixed.

cells      what is sampled for a number: an arm under a sampler
layouts    which cells make which table
printed    the paper's numbers as printed
command    what `python -m analysis.tables` does
measure    cells -> images -> rows (resumable; one row per cell and seed)
rows       the committed rows and their manifest
write      a table as text, Markdown, CSV or LaTeX
"""
