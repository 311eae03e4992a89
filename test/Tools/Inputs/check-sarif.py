#!/usr/bin/env python3
"""Checks that a file is a log of SARIF 2.1.0, as far as moe-opt writes one, and that
its rules are those of docs/Diagnostics.md; prints its results, a line each.

usage: check-sarif.py FILE.sarif SOURCE_ROOT [--apply SOURCE REPAIRED]

With --apply the first fix of the first result that has one is applied to the text of
SOURCE, which gives REPAIRED.

What is demanded is from the standard (OASIS, sarif-v2.1.0-os): sections 3.13 sarifLog,
3.14 run, 3.18 tool, 3.19 toolComponent, 3.20 invocation, 3.27 result, 3.28 location,
3.29 physicalLocation, 3.30 region, 3.49 reportingDescriptor, 3.55 fix, 3.56
artifactChange, 3.57 replacement.
"""

import json
import pathlib
import re
import sys
import urllib.parse


def demand(condition, what):
    if not condition:
        sys.exit(f"not SARIF 2.1.0: {what}")


def members(value, where, required, optional=()):
    """An object with these members and no others."""
    demand(isinstance(value, dict), f"{where} is no object")
    for name in required:
        demand(name in value, f"{where} lacks {name}")
    for name in value:
        demand(name in required or name in optional, f"{where} has a member {name}")


def message(value, where):
    members(value, where, ["text"])
    demand(isinstance(value["text"], str) and value["text"], f"{where}.text is empty")


def region(value, where):
    members(value, where, ["startLine", "startColumn"], ["endLine", "endColumn"])
    for name, number in value.items():
        demand(isinstance(number, int) and number >= 1, f"{where}.{name} is below 1")
    start = (value["startLine"], value["startColumn"])
    end = (value.get("endLine", start[0]), value.get("endColumn", start[1]))
    demand(start <= end, f"{where} ends before it starts")


def artifact(value, where):
    members(value, where, ["uri"])
    # 3.4.3: a URI reference.
    demand(re.fullmatch(r"[\w./~%:-]+", value["uri"]), f"{where}.uri: {value['uri']}")


def location(value, where, optional=()):
    members(value, where, ["physicalLocation"], optional)
    place = value["physicalLocation"]
    members(place, where, ["artifactLocation"], ["region"])
    artifact(place["artifactLocation"], where)
    if "region" in place:
        region(place["region"], where)
    if "message" in value:
        message(value["message"], where)


def fix(value, where):
    members(value, where, ["artifactChanges"], ["description"])
    message(value["description"], where)
    demand(value["artifactChanges"], f"{where} changes nothing")
    for change in value["artifactChanges"]:
        members(change, where, ["artifactLocation", "replacements"])
        artifact(change["artifactLocation"], where)
        demand(change["replacements"], f"{where} replaces nothing")
        for replacement in change["replacements"]:
            members(replacement, where, ["deletedRegion"], ["insertedContent"])
            region(replacement["deletedRegion"], where)
            message(replacement["insertedContent"], where)


def anchors(page):
    for heading in re.findall(r"^#+ (.*)$", page, re.M):
        yield re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def check_rules(rules, page):
    ids = [rule["id"] for rule in rules]
    demand(len(ids) == len(set(ids)), "two rules have one id")
    known = set(anchors(page))
    for rule in rules:
        members(rule, "rule", ["id", "shortDescription", "helpUri"])
        message(rule["shortDescription"], "rule")
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


def check(log, page):
    members(log, "log", ["version", "runs"], ["$schema"])
    demand(log["version"] == "2.1.0", f"version is {log['version']}")
    demand(len(log["runs"]) == 1, "there is more than one run")
    run = log["runs"][0]
    members(run, "run", ["tool", "results"], ["invocations", "columnKind"])
    demand(run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints"), "columnKind")
    members(run["tool"], "tool", ["driver"])
    members(run["tool"]["driver"], "driver", ["name"], ["rules"])
    for invocation in run["invocations"]:
        members(invocation, "invocation", ["executionSuccessful"])
        demand(isinstance(invocation["executionSuccessful"], bool), "executionSuccessful")
    rules = run["tool"]["driver"]["rules"]
    check_rules(rules, page)
    optional = ["ruleId", "ruleIndex", "level", "locations", "relatedLocations", "fixes"]
    for result in run["results"]:
        members(result, "result", ["message"], optional)
        message(result["message"], "result")
        demand(result["level"] in ("none", "note", "warning", "error"), "level")
        demand(("ruleId" in result) == ("ruleIndex" in result), "ruleId without ruleIndex")
        if "ruleId" in result:
            demand(rules[result["ruleIndex"]]["id"] == result["ruleId"], "ruleIndex")
        for value in result.get("locations", []):
            location(value, "location")
        related = result.get("relatedLocations", [])
        for value in related:
            location(value, "relatedLocation", ["id", "message"])
        demand(len({value["id"] for value in related}) == len(related), "ids of locations")
        for value in result.get("fixes", []):
            fix(value, "fix")
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
page = pathlib.Path(sys.argv[2], "docs", "Diagnostics.md").read_text(encoding="utf-8")
run = check(log, page)
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
