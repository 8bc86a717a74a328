"""Which quantizer a layer gets at a call, and which layers."""
