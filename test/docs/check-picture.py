#!/usr/bin/env python3
"""Compares the texts and colours of two SVG files that Graphviz made.

usage: check-picture.py COMMITTED.svg FRESH.svg

Where things are drawn depends on fonts and on the version of Graphviz: not compared.
"""

import difflib
import pathlib
import re
import sys
import xml.etree.ElementTree

SVG = "{http://www.w3.org/2000/svg}"


def describe(path):
    """Lines of what an image shows, sorted: the order follows the layout."""
    lines = []
    for element in xml.etree.ElementTree.fromstring(pathlib.Path(path).read_bytes()).iter():
        tag = element.tag.removeprefix(SVG)
        if tag == "text":
            lines.append(f"text {element.text}")
        elif tag in ("polygon", "path"):
            lines.append(f"{tag} {element.get('fill')} {element.get('stroke')}")
        elif tag == "a":
            lines.append(f"tooltip {element.get('{http://www.w3.org/1999/xlink}title')}")
    return sorted(lines)


committed, fresh = map(describe, sys.argv[1:])
difference = list(difflib.unified_diff(committed, fresh, *sys.argv[1:], lineterm="", n=0))
print("\n".join(difference) or f"{len(fresh)} texts, shapes and tooltips are equal")
sys.exit(1 if difference or not fresh else 0)
