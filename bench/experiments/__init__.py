"""One module per subject: what it asks, what it runs, and how it presents what came out.

Nothing lists them: every class of a module here that has a name, jobs and a way to present their rows is an experiment. The
catalogue says to which number each name belongs.
"""
from __future__ import annotations

import importlib
import inspect
import pkgutil

from report import catalogue


def experiments_of(module) -> list:
    """One of each; what only helps others has no name."""
    return [kind() for _, kind in inspect.getmembers(module, inspect.isclass)
            if kind.__module__ == module.__name__ and getattr(kind, "name", "") and hasattr(kind, "jobs") and hasattr(kind, "present")]


def found() -> tuple:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return tuple(catalogue.in_order([one for module in modules for one in experiments_of(module)]))


ALL = found()
