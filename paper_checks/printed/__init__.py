"""The paper's theorems as they are printed, what is wrong with them, and their nearest true versions."""
