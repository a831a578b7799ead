#!/usr/bin/env python3
"""The licenses of all crates that are linked into some packages; `cargo metadata` on stdin.

    cargo metadata ... | notices.py PACKAGE...

A text that several crates share is printed once, under their names. A crate that states neither terms nor
a license file ends it with an error.
"""

import json
import pathlib
import sys

NAMES = ("license", "licence", "copying", "notice", "copyright", "unlicense")


def linked(data, roots):
    """All packages that code of `roots` is linked with."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    wanted = [id for id, package in packages.items() if package["name"] in roots]
    if len(wanted) != len(roots):
        sys.exit(f"error: the workspace does not hold all of {', '.join(roots)}")
    seen = set()
    while wanted:
        id = wanted.pop()
        if id in seen:
            continue
        seen.add(id)
        for dependency in nodes[id]["deps"]:
            # Neither what builds the crate nor what tests it is part of it.
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                wanted.append(dependency["pkg"])
    return [packages[id] for id in seen]


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    files = [f for f in folder.iterdir() if f.is_file() and f.name.lower().startswith(NAMES)]
    if package["license_file"]:
        files.append(folder / package["license_file"])
    return [f.read_text(errors="replace").strip() for f in sorted(set(files))]


def main():
    crates, shared = [], {}
    for package in sorted(linked(json.load(sys.stdin), sys.argv[1:]), key=lambda p: p["name"]):
        # A crate of the workspace is facesr itself; what lies in vendor is not.
        if package["source"] is None and "/vendor/" not in package["manifest_path"]:
            continue
        name = f"{package['name']} {package['version']}"
        found = texts(package)
        if not (found or package["license"]):
            sys.exit(f"error: the crate {name} states no terms")
        authors = ", ".join(package["authors"])
        crates.append(f"{name}: {package['license']}{' (' + authors + ')' if authors else ''}")
        for text in found:
            shared.setdefault(text, []).append(name)
    print("\n".join(crates))
    for text, names in shared.items():
        print(f"\n{'-' * 100}\n{', '.join(names)}\n\n{text}")


if __name__ == "__main__":
    main()
