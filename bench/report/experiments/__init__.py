"""One module per subject: what it asks, what it runs, and how it presents what came out.

A module is found by itself: it names its experiments in a tuple EXPERIMENTS, each with its number in the catalogue.
"""
from __future__ import annotations

import importlib
import pkgutil

from .. import catalogue


def found() -> tuple:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return tuple(catalogue.in_order(one for module in modules for one in getattr(module, "EXPERIMENTS", ())))


ALL = found()
