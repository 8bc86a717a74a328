"""The page of ``modiff-sim explore``: a marimo notebook. Every number on it is made by ``modiff_sim.explore.look``."""

import marimo

app = marimo.App(width="full", app_title="modiff-sim: explore quantizer assumptions")


@app.cell
def _():
    import marimo as mo

    import modiff_sim as ms
    from modiff_sim.explore import Settings, as_claim, as_figure, look, words
    from modiff_sim.explore.settings import layers

    return Settings, as_claim, as_figure, layers, look, mo, ms, words


@app.cell
def _(mo, ms, words):
    def choice(known, value, label):
        return mo.ui.dropdown(known, value=value, label=label)

    quantizer = choice(list(ms.QUANTIZERS), "absmax", "quantizer")
    bits = mo.ui.slider(2, 8, value=4, label="bits", show_value=True)
    granularity = choice(words.GRANULARITY, "sample", "one scale per")
    known = ["drift", *(name for name in ms.processes.PROCESSES if name not in ("adversarial", "recorded")), "recorded"]
    moves = {words.INPUTS.get(name, name.replace("_", " ")): name for name in known}
    inputs = choice(moves, words.INPUTS["drift"], "process")
    distribution = choice(list(ms.atlas.DISTRIBUTIONS), "normal", "entries are")
    sizes = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
    rho = mo.ui.slider(steps=sizes, value=0.1, label="change ρ", show_value=True)
    d = mo.ui.slider(steps=[16, 64, 256, 1024, 4096], value=256, label="entries, d", show_value=True)
    recording = mo.ui.text(label="file of layers", placeholder="layers.npz")
    steps = mo.ui.slider(5, 200, value=50, label="model calls", show_value=True)
    recursion = choice(words.RECURSION, words.LOOPS["closed_loop"], "scheme")
    warmup = choice(words.WARMUP, "in full precision", "first call")
    refresh = choice(words.REFRESH, "never", "full precision again")
    seed = mo.ui.number(0, 10**6, value=0, label="seed")
    worst = mo.ui.checkbox(label="search for the worst inputs (takes seconds)")
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
    rho, seed, steps, warmup, worst, wrong,
):  # fmt: skip
    mo.stop(bool(wrong), mo.callout(wrong, "warn"))
    recorded = inputs.value == "recorded"
    try:
        settings = Settings(
            quantizer=quantizer.value, bits=bits.value, granularity=granularity.value, inputs=inputs.value,
            distribution=distribution.value, rho=float(rho.value), d=d.value, steps=steps.value, seed=seed.value,
            recursion=recursion.value, warmup=warmup.value, refresh=refresh.value,
            recording=recording.value if recorded else "", layer=layer.value if recorded else "",
        )  # fmt: skip
        view, error = look(settings, find_worst=worst.value), ""
    except (ValueError, OSError, MemoryError) as problem:
        view, error = None, str(problem)
    return error, settings, view


@app.cell
def _(error, mo, view, words):
    mo.stop(view is None, mo.callout(error, "danger"))
    picture, text = mo.Html(words.pictures(view)), mo.md(words.tables(view))
    return picture, text


@app.cell
def _(mo, settings):
    name = mo.ui.text(value="explored", label="file")
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
    recording, recursion, refresh, rho, seed, steps, text, warmup, words, worst,
):  # fmt: skip
    of_inputs = [inputs, *([recording, layer] if inputs.value == "recorded" else [d])]
    of_inputs += [distribution, rho] if inputs.value == "drift" else []
    left = mo.vstack([
        mo.md("**Quantizer**"), quantizer, bits, granularity, mo.md("**Inputs**"), *of_inputs, steps, seed,
        mo.md("**Loop**"), recursion, warmup, refresh, worst, mo.md("**Keep this view**"), name,
        mo.hstack([claim, figure_], justify="start", wrap=True), outcome,
    ])  # fmt: skip
    right = mo.vstack([picture, text, mo.md("The same in Python:"), code])
    columns = f'<div class="explore"><div>{left.text}</div><div>{right.text}</div></div>'
    mo.vstack([mo.md(words.INTRODUCTION), mo.Html(words.STYLE + columns)])
    return


if __name__ == "__main__":
    app.run()
