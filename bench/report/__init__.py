"""Runs the experiments of scripts/reproduce, draws their figures and writes the report."""
