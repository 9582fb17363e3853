#!/usr/bin/env -S python3 -B
"""Refuses a message that says what was expected and not what was found.

A message is a string outside tests in which "was expected" or "were expected" stands. What was found
is the word "found" anywhere, or a placeholder after "expected". Messages that stood before are in
messages.txt, one a line; that list only gets shorter. A line that no message needs is refused as well:
`messages.py --shorten` takes those out.

A message about a state says the state and what to do, without "expected"."""
import re
import sys
from collections import Counter

from rust_source import ROOT, crates, files_of

EXPECTED = re.compile(r"\b(?:was|were) expected\b")
EXCEPTIONS = "tests/tools/messages.txt"


def messages(tokens):
    """Text and line of each message without what was found."""
    for kind, text, line in tokens:
        if kind == "string":
            text = re.sub(r"\\\n\s*", "", re.sub(r'^[bcr]*#*"|"#*$', "", text))
            text = " ".join(text.split())
            match = EXPECTED.search(text)
            if match and not re.search(r"\bfound\b", text) and not re.search(r"\{[^{}]*\}", text[match.end() :]):
                yield text, line


def check(root=ROOT):
    """Messages that are no exception, with their places, and exceptions that no message needs."""
    left = Counter((root / EXCEPTIONS).read_text().splitlines())
    refused = []
    for folder in crates(root).values():
        for file in files_of(folder):
            for text, line in messages(file.tokens):
                if left[text]:
                    left[text] -= 1
                else:
                    refused.append(f"{file.path.relative_to(root)}:{line}: {text}")
    return refused, +left


def shorten(root=ROOT):
    """Takes the exceptions out of the list that no message needs."""
    _, unneeded = check(root)
    path = root / EXCEPTIONS
    kept = Counter(path.read_text().splitlines()) - unneeded
    path.write_text("".join(f"{text}\n" for text in sorted(kept.elements())))


if __name__ == "__main__":
    if sys.argv[1:] == ["--shorten"]:
        shorten()
    refused, unneeded = check()
    for text in refused:
        print(text)
    for text in unneeded:
        print(f"{EXCEPTIONS}: no message needs: {text}")
    sys.exit(bool(refused or unneeded))
