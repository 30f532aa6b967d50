"""The paper: which rows it rests on, the macros that carry their values into its text, its figures, and what its text must not hold."""
