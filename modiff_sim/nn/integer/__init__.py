"""The integer engine: what runs a layer's quantized calls on integer codes, and what it declines."""
