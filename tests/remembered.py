"""What is computed once for all who ask for the same, such as a claim and its negative controls."""

import pickle
from functools import wraps


def remembered(function, *, key=lambda args, options: (args, options)):
    """The function, called once for equal arguments. Where these cannot be pickled it is called every time.

    ``key`` returns what the result depends on, or None for arguments with which the function does more than return.
    """
    known = {}

    @wraps(function)
    def once(*args, **options):
        place = key(args, options)
        try:
            place = None if place is None else pickle.dumps(place)
        except (AttributeError, TypeError, pickle.PicklingError):  # a local class, a lambda
            place = None
        if place is None:
            return function(*args, **options)
        if place not in known:
            known[place] = function(*args, **options)
        return known[place]

    return once
