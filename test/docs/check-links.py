#!/usr/bin/env python3
"""Finds links between the pages of docs/ that lead nowhere.

usage: check-links.py SOURCE_ROOT
"""

import pathlib
import re
import sys

FENCED = re.compile(r"^```.*?^```$", flags=re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")

pages = sorted(pathlib.Path(sys.argv[1], "docs").rglob("*.md"))
links = broken = 0
for page in pages:
    for target, _ in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        links += 1
        if not (page.parent / target).exists():
            broken += 1
            print(f"{page}: no {target}")
print(f"{len(pages)} pages, {links} links, {broken} broken")
sys.exit(1 if broken or not links else 0)
