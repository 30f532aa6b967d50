"""Makes matplotlib's SVG part of a page: its colours become the page's, its ids unique, its width fluid."""
from __future__ import annotations

import html
import io
import re

from .drawing import INK, PAPER, RULE
from .model import Figure
from .systems import LOOKS, variable


def standalone(figure: Figure) -> str:
    text = io.StringIO()
    # No date in the file: the same rows draw the same bytes.
    figure.canvas.savefig(text, format="svg", metadata={"Date": None, "Title": figure.caption})
    return text.getvalue()


def inline(figure: Figure) -> str:
    """For pasting into HTML, where CSS variables hold the colours of light and dark."""
    text = standalone(figure)
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # The size in points is the size in a column of print; on a page the width follows the column it is in.
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    label = html.escape(figure.alt, quote=True)
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)

    text = re.sub(r'\bid="([^"]+)"', rf'id="{figure.name}-\1"', text)
    text = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{figure.name}-\2"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{figure.name}-\1)", text)

    for one in LOOKS.values():
        text = text.replace(one.colour, f"var({variable(one)})")
    text = text.replace(INK, "var(--ink)").replace(RULE, "var(--rule)").replace(PAPER, "var(--paper)")
    # The page's own type face: the layout was made for a wider one, so nothing runs over.
    return re.sub(r"font(-family)?: ([^;\"]*?)(\d[\d.]*px )?'DejaVu Sans'[^;\"]*", r"font\1: \2\3var(--sans)", text)
