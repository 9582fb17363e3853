#!/usr/bin/env -S python3 -B
"""Counts lines of code, of each crate and of each chain.

A line counts when a token of Rust that is compiled without `cfg(test)` stands on it. So these do not
count: blank lines; comments and doc comments; items under `#[cfg(test)]`; files that are reached
through such an item only, whatever they are called; integration tests, benches and examples. These do
count: `use`, attributes, a closing bracket alone on its line, each line of a long string, code behind
a feature, and the programs of a crate.

A chain's lines are those of chains/src/<chain>; what else is in chains/src is `chains/shared`."""
from rust_source import ROOT, crates, files_of

CHAINS = ["bitcoin", "evm", "solana", "tron"]


def lines(tokens):
    """How many lines have a token on them."""
    counted = set()
    for token in tokens:
        for offset, text in enumerate(token.text.split("\n")):
            if text.strip():
                counted.add(token.line + offset)
    return len(counted)


def longest(root=ROOT):
    """Lines of code of the longest file."""
    return max(lines(file.tokens) for folder in crates(root).values() for file in files_of(folder))


def count(root=ROOT):
    """Lines of code by crate, and by chain as `chains/<chain>`."""
    counts = {}
    for name, folder in crates(root).items():
        counts[name] = 0
        for file in files_of(folder):
            number = lines(file.tokens)
            counts[name] += number
            if name == "chains":
                part = file.path.relative_to(folder / "src").parts[0].removesuffix(".rs")
                part = f"chains/{part if part in CHAINS else 'shared'}"
                counts[part] = counts.get(part, 0) + number
    return counts


if __name__ == "__main__":
    for name, number in count().items():
        print(f"{number:7}  {name}")
