"""All there is about a model, before and after: what a context must leave as it was."""

import torch


def everything(model):
    """All there is about a model: its objects (identity), their bytes, flags and hooks."""
    found = []
    for module in model.modules():
        own = {k: dict(v) if isinstance(v, dict) else v for k, v in vars(module).items()}
        tensors = [*module._parameters.items(), *module._buffers.items()]
        values = {
            k: (id(v), v.dtype, v.stride(), v.requires_grad, v.detach().clone()) for k, v in tensors if v is not None
        }
        found.append((module, own, values))
    return found


def assert_same(model, before):
    assert [id(m) for m in model.modules()] == [id(m) for m, *_ in before]
    for module, own, values in before:
        assert {k: dict(v) if isinstance(v, dict) else v for k, v in vars(module).items()} == own
        for name, (*flags, value) in values.items():
            now = getattr(module, name)
            assert [id(now), now.dtype, now.stride(), now.requires_grad] == flags
            assert torch.equal(now, value)
