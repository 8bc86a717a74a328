"""How a kind of object is drawn: one look for figures, commands and the ``plot`` of every object (extra [plot]).

    from modiff_sim.plot import style
    result.plot.errors()

``style`` has the palette, labels, sizes and legends, and ``panels`` what single panels share. Every other module draws
one kind of thing on Axes that it is given, from plain arrays and rows. Which of them an object has, and from which of
its numbers, is said in the room of the object, in a module ``pictures``.
"""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError("pictures need matplotlib: pip install 'modiff-sim[plot]'") from error
