#!/usr/bin/env -S python3 -B
"""Holds the numbers of ratchet.toml: prints each with its limit, and fails when one is above it, when
a limit can be lowered by more than 2 % on the way to its goal, or when a limit was raised. `--lower`
lowers what can be lowered, and shortens messages.txt. Lines of code and crates may be raised in a
change that also says in docs/trusted-base.md what for."""
import math
import os
import re
import subprocess
import sys
import tomllib
import unittest

import circles
import code_lines
import messages
import type_names
from rust_source import ROOT

LIMITS = "tests/tools/ratchet.toml"
REASONS = "docs/trusted-base.md"
CORE = ["attestation", "enclave-app", "protocol", "wire"]
MAY_RISE = {"lines", "enclave"}


def enclave_tree(edges):
    """The lines of the enclave's tree of crates, on its own and so without other programs' features."""
    cargo = [os.environ.get("CARGO", "cargo"), "tree", "--locked", "-p", "enclave-app", "--prefix", "none"]
    cargo += ["--target", "x86_64-unknown-linux-gnu", "--edges", edges]
    output = subprocess.run(cargo, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {line.replace(" (*)", "").replace(" (proc-macro)", "") for line in output.splitlines() if line}


def present(tree, absent):
    """Which crates (`name`) and features (`name/feature`) are in a tree that are to be absent."""
    lines = [line.replace('"', "").split() for line in tree]
    features = {f"{line[0]}/{line[2]}" for line in lines if line[1] == "feature"}
    return sorted((features | {line[0] for line in lines}) & set(absent))


def measure(root=ROOT):
    """Today's numbers, by section and name as in ratchet.toml, without those of cargo's tree."""
    lines = code_lines.count(root)
    return {
        "lines": {
            "core": sum(lines.get(crate, 0) for crate in CORE),
            **{name: number for name, number in lines.items() if name.startswith("chains/")},
        },
        "files": {"longest": code_lines.longest(root)},
        "circles": {crate: len(found) for crate, found in circles.all_circles(root)[0].items()},
        "type_names": {crate: math.ceil(share) for crate, (share, _) in type_names.shares(root).items()},
        "messages": {"exceptions": len((root / messages.EXCEPTIONS).read_text().splitlines())},
    }


def judge(limits, values):
    """A line for each number, and what is wrong."""
    shown, wrong = [], []
    for section in limits:
        for name in sorted(limits[section].keys() | values[section].keys()):
            what = f"{section}.{name}"
            entry, value = limits[section].get(name), values[section].get(name)
            if entry is None or value is None:
                line = f"add `{name} = {{ limit = {value}, goal = … }}`" if entry is None else "take it out"
                wrong.append(f"{what}: only one of limit and number is there; {line} in {LIMITS}")
                continue
            limit, goal = entry["limit"], entry["goal"]
            shown.append(f"{what:28} {value:7}   limit {limit:6}   goal {goal:6}")
            if value > limit:
                wrong.append(f"{what}: at most {limit} was expected, found {value}")
            elif limit > goal and max(value, goal) < limit * 0.98:
                wrong.append(f"{what}: {value} is far below the limit of {limit}; lower it in {LIMITS}")
    return shown, wrong


def lowered(text, values):
    """The text of ratchet.toml with each limit that is too high at its number, or at its goal."""
    lines, section = text.splitlines(keepends=True), None
    for at, line in enumerate(lines):
        if header := re.match(r"\[(\w+)\]", line):
            section = header[1]
        elif entry := re.match(r'"?([\w/-]+)"? = \{ limit = (\d+), goal = (\d+) \}', line):
            limit, goal = int(entry[2]), int(entry[3])
            lowest = max(values[section].get(entry[1], limit), goal)
            lines[at] = line.replace(f"limit = {limit},", f"limit = {min(limit, lowest)},")
    return "".join(lines)


def raised(before, after, with_reason):
    """Limits that went up between two versions of ratchet.toml and may not."""
    for section, names in after.items():
        for name, entry in names.items():
            old = before.get(section, {}).get(name, entry)["limit"]
            if entry["limit"] > old and not (section in MAY_RISE and with_reason):
                how = f"say in {REASONS} what for, in the same change" if section in MAY_RISE else "it only goes down"
                yield f"{section}.{name}: the limit was raised from {old} to {entry['limit']}; {how}"


def git(*arguments):
    """What git prints, or None where it fails: outside a repository, or before its first commit."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def raised_in_history(now):
    """Limits that were raised since the last commit, or in the last commit that changed them."""
    last = (git("log", "-1", "--format=%H", "--", LIMITS) or "").strip()
    committed = git("show", f"HEAD:{LIMITS}")
    for old, new, text in [("HEAD", [], None), (f"{last}~1", [last], committed)]:
        before = git("show", f"{old}:{LIMITS}")
        if before is not None:
            with_reason = bool(git("diff", "--name-only", old, *new, "--", REASONS))
            yield from raised(limits_of(before), limits_of(text) if text else now, with_reason)


def limits_of(text):
    """The sections of limits of a ratchet.toml."""
    return {name: section for name, section in tomllib.loads(text).items() if name != "absent"}


def main():
    suite = unittest.defaultTestLoader.loadTestsFromName("test_ratchet")
    if not unittest.TextTestRunner(verbosity=0).run(suite).wasSuccessful():
        return 1
    if sys.argv[1:] == ["--lower"]:
        messages.shorten()
    values = measure()
    values["enclave"] = {"crates": len(enclave_tree("normal"))}
    text = (ROOT / LIMITS).read_text()
    if sys.argv[1:] == ["--lower"]:
        text = lowered(text, values)
        (ROOT / LIMITS).write_text(text)
    limits, absent = limits_of(text), tomllib.loads(text)["absent"]["from_the_enclave"]
    shown, wrong = judge(limits, values)
    refused, unneeded = messages.check()
    wrong += [f"{text} (say what was found)" for text in refused]
    wrong += [f"{messages.EXCEPTIONS}: no message needs {text!r}; run messages.py --shorten" for text in unneeded]
    wrong += [f"{name} is inside the enclave" for name in present(enclave_tree("features,normal"), absent)]
    wrong += raised_in_history(limits)
    print("\n".join(shown))
    print("\n".join(f"ratchet: {text}" for text in wrong), file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
