"""What Theorem 4.4 leaves out: inputs that errors move, fixed scales, rounded memory, weights, chains of layers."""
