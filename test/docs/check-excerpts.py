#!/usr/bin/env python3
"""Checks that the code which a page shows is part of a file.

usage: check-excerpts.py PAGE.md FOLDER

Every `cpp` and `cmake` block of the page has to be in one of the folder's files, as it
stands, line by line.
"""

import pathlib
import re
import sys

page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
files = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if path.is_file()]
blocks = re.findall(r"^```(?:cpp|cmake)\n(.*?)^```$", page.read_text(encoding="utf-8"),
                    re.S | re.M)
missing = [block for block in blocks
           if not any("\n" + block in "\n" + text for text in files)]
for block in missing:
    print(f"{page}: in no file of {folder}:\n{block}")
print(f"{len(blocks)} excerpts, {len(missing)} missing")
sys.exit(1 if missing or not blocks else 0)
