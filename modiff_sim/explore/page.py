"""The page of ``modiff-sim explore``: a marimo notebook. Every number on it is made by ``modiff_sim.explore.look``."""

import marimo

app = marimo.App(width="full", app_title="modiff-sim: explore quantizer assumptions")


@app.cell
def _():
    import time

    import marimo as mo

    import modiff_sim as ms
    from modiff_sim.explore import Settings, as_claim, as_figure, look
    from modiff_sim.explore.saving import drawn
    from modiff_sim.explore.settings import layers
    from modiff_sim.plot import style

    return Settings, as_claim, as_figure, drawn, layers, look, mo, ms, style, time


@app.cell
def _(mo, ms):
    def choice(known, value, label):
        return mo.ui.dropdown(list(known), value=value, label=label)

    quantizer = choice(ms.QUANTIZERS, "absmax", "quantizer")
    bits = mo.ui.slider(2, 8, value=4, label="bits", show_value=True)
    granularity = choice(("sample", "batch", "channel", "token", "group:16", "group:32"), "sample", "one scale per")
    known = [name for name in ms.processes.PROCESSES if name not in ("adversarial", "recorded")]
    inputs = choice(("drift", *known, "recorded"), "drift", "inputs")
    distribution = choice(ms.atlas.DISTRIBUTIONS, "normal", "distribution (drift)")
    rho = mo.ui.slider(steps=[0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], value=0.1, label="drift ρ", show_value=True)
    d = mo.ui.slider(steps=[16, 64, 256, 1024, 4096], value=256, label="entries d", show_value=True)
    recording = mo.ui.text(label="recording (.npz)", placeholder="layers.npz")
    steps = mo.ui.slider(5, 200, value=50, label="calls", show_value=True)
    recursion = choice(ms.RECURSIONS, "closed_loop", "recursion")
    warmup = choice(("exact", "quantized", "fed 3 times"), "exact", "first call")
    refresh = choice(("never", "every 5", "every 10", "every 20"), "never", "refresh")
    seed = mo.ui.number(0, 10**6, value=0, label="seed")
    worst = mo.ui.checkbox(label="search for worst inputs (seconds)")
    return (
        bits, d, distribution, granularity, inputs, quantizer, recording, recursion, refresh, rho, seed, steps, warmup,
        worst,
    )  # fmt: skip


@app.cell
def _(inputs, layers, mo, recording):
    found, wrong = ["(none)"], ""
    if inputs.value == "recorded":
        try:
            found = list(layers(recording.value))
        except (OSError, TypeError, ValueError) as error:
            wrong = f"No recording is read: {error}"
    layer = mo.ui.dropdown(found, value=found[0], label="layer")
    return layer, wrong


@app.cell
def _(
    Settings, bits, d, distribution, granularity, inputs, layer, look, mo, quantizer, recording, recursion, refresh,
    rho, seed, steps, time, warmup, worst, wrong,
):  # fmt: skip
    mo.stop(bool(wrong), mo.callout(wrong, "warn"))
    first = 3 if warmup.value == "fed 3 times" else warmup.value
    later = "never" if refresh.value == "never" else int(refresh.value.split()[1])
    recorded = inputs.value == "recorded"
    try:
        settings = Settings(
            quantizer=quantizer.value, bits=bits.value, granularity=granularity.value, inputs=inputs.value,
            distribution=distribution.value, rho=float(rho.value), d=d.value, steps=steps.value, seed=seed.value,
            recursion=recursion.value, warmup=first, refresh=later, recording=recording.value if recorded else "",
            layer=layer.value if recorded else "",
        )  # fmt: skip
        began = time.perf_counter()
        view, error = look(settings, find_worst=worst.value), ""
        took = time.perf_counter() - began
    except (ValueError, OSError, MemoryError) as problem:
        view, error, took = None, str(problem), 0.0
    return error, settings, took, view


@app.cell
def _(drawn, error, mo, style, view):
    mo.stop(view is None, mo.callout(error, "danger"))
    with style.applied():
        curves = {f"{norm} {name}": y for norm, found in view.curves.items() for name, y in found.items()}
        figure = drawn(curves, view.settings.recursion)
    picture = mo.as_html(figure)
    return (picture,)


@app.cell
def _(mo, took, view):
    def shown(value):
        return "–" if value is None or value != value else f"{value:.4g}"

    constants = "\n".join(
        f"| {'c, squared 2-norm' if row['constant'] == 'c' else 'κ, max norm'} | "
        + " | ".join(shown(row[key]) for key in ("declared", "measured", "largest", "found"))
        + " |"
        for row in view.constants
    )
    verdicts = "\n".join(
        f"| {row['bound']} | **{row['verdict']}** | {row['detail']} | {row['premise']} |" for row in view.verdicts
    )
    last = {norm: float(curves["mean"][-1]) for norm, curves in view.curves.items()}
    spent, saved, ratio = (shown(view.bits[key]) for key in ("effective", "saved", "ratio"))
    text = mo.md(f"""
**Mean error at the last call: {shown(last["2"])} in the 2-norm, {shown(last["inf"])} in the max norm.**
{spent} effective bits per call; at this size of changes (inputs {ratio} times their differences, max norm) a closed
loop needs {saved} bits fewer than direct quantization for an equal bound. *{took * 1e3:.0f} ms*

| constant | declared | measured (mean) | largest seen | worst found |
|---|---|---|---|---|
{constants}

| bound | verdict | largest error over bound, or error against bound | premise |
|---|---|---|---|
{verdicts}
""")
    return (text,)


@app.cell
def _(mo, settings):
    name = mo.ui.text(value="explored", label="name")
    claim, figure_ = mo.ui.run_button(label="save as claim"), mo.ui.run_button(label="save as figure")
    code = mo.md(f"```python\nfrom modiff_sim.explore import Settings, look\nview = look({settings.code()})\n```")
    return claim, code, figure_, name


@app.cell
def _(as_claim, as_figure, claim, figure_, mo, name, view):
    said = ""
    try:
        if claim.value:
            said = f"wrote {as_claim(view, f'{name.value}.py')}: copy it into paper_checks/ROOM"
        if figure_.value:
            said = f"wrote {as_figure(view, f'fig_{name.value}.py')}: copy it into figures"
    except (ValueError, OSError) as problem:
        said = str(problem)
    outcome = mo.md(said)
    return (outcome,)


@app.cell
def _(
    bits, claim, code, d, distribution, figure_, granularity, inputs, layer, mo, name, outcome, picture, quantizer,
    recording, recursion, refresh, rho, seed, steps, text, warmup, worst,
):  # fmt: skip
    of_inputs = [inputs, *([recording, layer] if inputs.value == "recorded" else [d])]
    of_inputs += [distribution, rho] if inputs.value == "drift" else []
    left = mo.vstack([
        mo.md("**Quantizer**"), quantizer, bits, granularity, mo.md("**Inputs**"), *of_inputs, steps, seed,
        mo.md("**Loop**"), recursion, warmup, refresh, worst, mo.md("**Keep this view**"), name,
        mo.hstack([claim, figure_], justify="start"), outcome,
    ])  # fmt: skip
    mo.hstack([left, mo.vstack([picture, text, code])], widths=[1, 3], gap=2, align="start")
    return


if __name__ == "__main__":
    app.run()
