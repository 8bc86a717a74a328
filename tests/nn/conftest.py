"""For all tests of the torch path."""

import gc

import pytest


@pytest.fixture(autouse=True)
def only_new_garbage():
    """A collection goes over what the test has made; over all modules of torch and diffusers it takes half a second."""
    gc.freeze()
    yield
    gc.unfreeze()
