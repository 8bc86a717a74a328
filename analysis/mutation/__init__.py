"""How well the tests see: small changes are made to the code (mutants), and a test should fail on each of them.

``python -m analysis.mutation`` draws mutants of cosmic-ray's operators, tries them one by one in a copy of the
checkout, and counts those that no test noticed. docs/mutation.md holds the counts.
"""
