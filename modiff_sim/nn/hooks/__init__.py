"""Between torch and a run: who called what, what a call may change, and how all of it is undone."""
