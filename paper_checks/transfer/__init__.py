"""The true loop, in which errors come back through the sampler, and the errors predicted from its gains."""
