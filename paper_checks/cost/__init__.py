"""What a scheme costs: bits of operands, bit operations, and memory of the states."""
