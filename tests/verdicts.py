"""The verdict of a claim on practice, whatever is put in the place of its parameters."""

import paper_checks
from modiff_sim.evidence import judge

MODULES = {m.CLAIM.id: m for m in paper_checks.claims("practice")}


def verdict(name, effort="quick", **overrides):
    return judge(MODULES[name].CLAIM, MODULES[name].check(effort, **overrides)).verdict
