#!/usr/bin/env -S python3 -B
"""Lists the names that mean several types of one crate.

Types are what `struct`, `enum`, `union`, `trait` and `type` define outside tests. Associated types are
no types of their own, and names that a macro makes are not seen. The share of a crate is the number of
its types whose name another type of the crate has, in hundredths of all its types."""
from rust_source import ROOT, crates, files_of, group_end

DEFINING = {"struct", "enum", "union", "trait", "type"}


def types(tokens):
    """Name and line of each type."""
    at, depth, bodies = 0, 0, []
    while at < len(tokens):
        kind, text, line = tokens[at]
        if kind == "punct" and text in "{}":
            depth += 1 if text == "{" else -1
            if bodies and depth < bodies[-1]:
                bodies.pop()
        elif kind == "ident" and text in ("impl", "trait") and starts_item(tokens, at):
            # Up to the body, whose `type` lines are associated types.
            if text == "trait":
                yield tokens[at + 1].text, line
            while tokens[at].text not in ("{", ";"):
                at = group_end(tokens, at) if tokens[at].text in "([" else at + 1
            if tokens[at].text == "{":
                depth += 1
                bodies.append(depth)
        elif kind == "ident" and text in DEFINING and starts_item(tokens, at):
            associated = text == "type" and bodies and bodies[-1] == depth
            if tokens[at + 1].kind == "ident" and not associated:
                yield tokens[at + 1].text, line
        at += 1


def starts_item(tokens, at):
    """Whether a word can start an item here: `impl Trait` in a signature, and a field `type`, cannot."""
    return at == 0 or tokens[at - 1].text in {";", "{", "}", "]", ")", "pub", "unsafe"}


def shares(root=ROOT):
    """For each crate: its share in hundredths, and its names that are told several times, with places."""
    found = {}
    for crate, folder in crates(root).items():
        places = {}
        for file in files_of(folder):
            for name, line in types(file.tokens):
                places.setdefault(name, []).append(f"{file.path.relative_to(root)}:{line}")
        again = {name: where for name, where in places.items() if len(where) > 1}
        total = sum(map(len, places.values()))
        found[crate] = (100 * sum(map(len, again.values())) / max(total, 1), again)
    return found


if __name__ == "__main__":
    for crate, (share, again) in shares().items():
        print(f"{crate}: {share:.1f} %")
        for name, where in sorted(again.items()):
            print(f"  {name}: {', '.join(where)}")
