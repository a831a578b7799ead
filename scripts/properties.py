#!/usr/bin/env python3
"""The tables of properties in docs/elements.md, out of gst-inspect-1.0.

    properties.py --write    puts them into the page
    properties.py --check    fails if the page has others

Each stands between `<!-- properties: ELEMENT -->` and `<!-- /properties -->`.
"""

import difflib
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/elements.md"
TABLE = re.compile(r"(<!-- properties: (\S+) -->\n)(.*?)(<!-- /properties -->)", re.DOTALL)
# Every GStreamer element or bin has these.
COMMON = {"name", "parent", "async-handling", "message-forward"}


def properties(element):
    """Name -> (description, values, default, when it can be set), in gst-inspect's order; none that is deprecated."""
    told = subprocess.run(
        ["gst-inspect-1.0", element], check=True, capture_output=True, text=True
    ).stdout
    found = {}
    name = None
    for line in told.split("Element Properties:", 1)[1].splitlines():
        head = re.match(r"  ([a-z][a-z-]*) *: (.*)", line)
        if head:
            name = head[1]
            found[name] = {"what": head[2].strip(), "flags": "", "kind": "", "values": []}
        elif name and line.strip().startswith("flags:"):
            found[name]["flags"] = line.split(":", 1)[1]
        elif name and not found[name]["kind"] and line.strip():
            found[name]["kind"] = line.strip()
        elif name and (value := re.match(r" +\(\d+\): ([a-z0-9-]+) ", line)):
            found[name]["values"].append(value[1])
        elif not line.startswith(" "):
            name = None
    shown = {name: told for name, told in found.items() if "deprecated" not in told["flags"]}
    return {name: row(told) for name, told in shown.items() if name not in COMMON}


def row(told):
    kind = told["kind"]
    default = re.search(r"Default: (.*)", kind)
    default = default[1].strip() if default else ""
    if told["values"]:
        default = re.search(r'"([^"]*)"', default)[1]
        values = ", ".join(f"`{value}`" for value in told["values"])
    elif limits := re.search(r"Range: +(\S+) +- +(\S+)", kind):
        most = {"4294967295": "", "2147483647": ""}.get(limits[2], limits[2])
        values = f"{limits[1]} to {most}" if most else f"from {limits[1]}"
    elif kind.startswith("Boolean"):
        values = "true, false"
    elif kind.startswith("Boxed"):
        values = "structure"
    else:
        values = "text"
    if "writable" not in told["flags"]:
        when, default = "read only", ""
    elif "PLAYING" in told["flags"]:
        when = "any time"
    else:
        when = "before it starts"
    default = "unset" if default in ("null", '""') else default
    return told["what"], values, default, when


def table(element):
    lines = [
        "| property | what it does | values | default | can be set |\n",
        "|---|---|---|---|---|\n",
    ]
    for name, (what, values, default, when) in properties(element).items():
        default = f"`{default}`" if default else ""
        lines.append(f"| `{name}` | {what} | {values} | {default} | {when} |\n")
    return "".join(lines).replace("  ", " ")


def check_bin():
    """The page says that facesr has the properties of both others, and no more."""
    both = properties("facesrdetect").keys() | properties("facesrenhance").keys()
    odd = both ^ properties("facesr").keys()
    if odd:
        sys.exit(f"facesr and its two parts do not have the same properties: {', '.join(sorted(odd))}")


def main():
    text = PAGE.read_text()
    fresh = TABLE.sub(lambda found: found[1] + table(found[2]) + found[4], text)
    check_bin()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(fresh)
    elif sys.argv[1:] == ["--check"]:
        if len(TABLE.findall(text)) != 2:
            sys.exit("docs/elements.md does not hold the tables of facesrdetect and facesrenhance")
        if text != fresh:
            sys.stdout.writelines(
                difflib.unified_diff(text.splitlines(True), fresh.splitlines(True), "the page", "the elements")
            )
            sys.exit("docs/elements.md does not tell the elements' properties: scripts/properties.sh --write")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
