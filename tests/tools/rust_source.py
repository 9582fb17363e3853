"""Reads Rust well enough to count and compare: tokens, what is compiled for tests alone, and which
file a module is in. Comments are no tokens. Used by code_lines.py, circles.py, type_names.py and
messages.py."""
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>//[^\n]*)
      | (?P<block>/\*)
      | (?P<raw>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes))
      | (?P<string>[bc]?"(?:[^"\\]|\\.)*")
      | (?P<char>b?'(?:[^'\\\n]|\\(?:u\{[^}]*\}|x..|.))')
      | (?P<lifetime>'[^\W\d]\w*)
      | (?P<ident>r\#[^\W\d]\w*|[^\W\d]\w*)
      | (?P<number>\d\w*(?:\.\d\w*)?)
      | (?P<punct>::|.)""",
    re.VERBOSE | re.DOTALL,
)
CLOSING = {"(": ")", "[": "]", "{": "}"}
ITEMS = set("async const enum extern fn impl macro_rules mod static struct trait type union unsafe use".split())
TO_SEMICOLON = {"use", "static", "type", "let"}


class Token(NamedTuple):
    """`kind` is string, char, lifetime, ident, number or punct; `line` counts from 1."""

    kind: str
    text: str
    line: int


def lex(source):
    """The tokens of a source text, without comments."""
    tokens, at, line = [], 0, 1
    while at < len(source):
        match = TOKEN.match(source, at)
        kind, end = match.lastgroup, match.end()
        if match["raw"] is not None:
            kind = "string"
        elif kind == "block":
            depth, end = 1, at + 2
            while depth and end < len(source):
                step = {"/*": 1, "*/": -1}.get(source[end : end + 2], 0)
                depth, end = depth + step, end + (2 if step else 1)
        text = source[at:end]
        if kind not in ("space", "comment", "block"):
            tokens.append(Token(kind, text, line))
        line, at = line + text.count("\n"), end
    return tokens


def group_end(tokens, start):
    """The position after the group that the bracket at `start` opens."""
    closing = []
    for at in range(start, len(tokens)):
        kind, text, _ = tokens[at]
        if kind == "punct" and text in CLOSING:
            closing.append(CLOSING[text])
        elif kind == "punct" and closing and text == closing[-1]:
            closing.pop()
            if not closing:
                return at + 1
    return len(tokens)


def attribute_end(tokens, at):
    """The position after the attribute at `at`, or None where there is none."""
    texts = [token.text for token in tokens[at : at + 3]]
    if texts[:2] == ["#", "["]:
        return group_end(tokens, at + 1)
    return group_end(tokens, at + 2) if texts == ["#", "!", "["] else None


def needs_test(attribute):
    """Whether an attribute is `cfg(test)` or `cfg(all(…, test, …))`."""
    inner = "".join(token.text for token in attribute).lstrip("#!")
    match = re.fullmatch(r"\[cfg\((?:all\()?(.*?)\)+\]", inner)
    return bool(match) and not inner.startswith("[cfg(any") and "test" in match[1].split(",")


def item_end(tokens, at):
    """The position after the item, field or statement at `at`, its attributes included."""
    while (end := attribute_end(tokens, at)) is not None:
        at = end
    first = at
    if tokens[first].text == "pub":
        first += 1
        if tokens[first].text == "(":
            first = group_end(tokens, first)
    words = [token.text for token in tokens[first : first + 2]]
    to_semicolon = words[0] in TO_SEMICOLON or (words[0] == "const" and words[1] not in ("fn", "unsafe", "async"))
    at = first
    while at < len(tokens):
        kind, text, _ = tokens[at]
        if kind == "punct":
            if text in CLOSING:
                at = group_end(tokens, at)
                if text == "{" and not to_semicolon:
                    return at
                continue
            if text == ";" or (text == "," and words[0] not in ITEMS and words[0] != "let"):
                return at + 1
            if text in CLOSING.values():
                return at
        at += 1
    return at


def without_tests(tokens):
    """The tokens that are compiled without `cfg(test)`."""
    kept, at = [], 0
    while at < len(tokens):
        end = attribute_end(tokens, at)
        if end is None:
            kept.append(tokens[at])
            at += 1
        elif not needs_test(tokens[at:end]):
            kept += tokens[at:end]
            at = end
        elif tokens[at + 1].text == "!":
            return kept
        else:
            # Attributes before this one stay in `kept`: they are lines of the same item, taken back.
            while kept and (start := last_attribute(kept)) is not None:
                del kept[start:]
            at = item_end(tokens, at)
    return kept


def last_attribute(kept):
    """Where the attribute starts with which `kept` ends, or None."""
    if kept[-1].text != "]":
        return None
    for start in range(len(kept) - 2, -1, -1):
        if kept[start].text == "#" and attribute_end(kept, start) == len(kept):
            return start if kept[start + 1].text != "!" else None
    return None


class File(NamedTuple):
    """A file of a crate: `module` is the path of its module below the crate."""

    path: Path
    module: tuple
    tokens: list


def files_of(crate):
    """The files of the crate in folder `crate` that are compiled without tests, each with its tokens."""
    source = crate / "src"
    roots = [source / "lib.rs", source / "main.rs", *sorted((source / "bin").glob("*.rs"))]
    found = {}
    for root in roots:
        if root.exists():
            # A program is a crate of its own: its modules do not meet those of the library.
            module = () if root.name == "lib.rs" else (f"<{root.stem}>",)
            follow(File(root, module, without_tests(lex(root.read_text()))), source, found)
    return list(found.values())


def follow(file, folder, found):
    """Adds a file and those that its `mod name;` lead to. `folder` is where its modules are."""
    if file.path in found:
        return
    found[file.path] = file
    for inline, name, path in modules(file.tokens):
        place = folder.joinpath(*inline)
        choices = [file.path.parent / path] if path else [place / f"{name}.rs", place / name / "mod.rs"]
        child = next((choice for choice in choices if choice.exists()), None)
        if child is None:
            raise SystemExit(f"{file.path}: mod {name} has no file")
        tokens = without_tests(lex(child.read_text()))
        follow(File(child, (*file.module, *inline, name), tokens), place / name, found)


def modules(tokens):
    """Each `mod name;`: the inline modules around it, its name, and its `#[path]` or None."""
    at, inside, ends = 0, [], []
    while at < len(tokens):
        while ends and at >= ends[-1]:
            ends.pop()
            inside.pop()
        if tokens[at].text == "mod" and tokens[at].kind == "ident" and at + 2 < len(tokens):
            name, after = tokens[at + 1].text, tokens[at + 2].text
            if after == ";":
                before = "".join(token.text for token in tokens[max(0, at - 10) : at])
                path = re.search(r'#\[path="([^"]*)"\](?:pub(?:\(\w+\))?)?$', before)
                yield tuple(inside), name, path and path[1]
            elif after == "{":
                inside.append(name)
                ends.append(group_end(tokens, at + 2) - 1)
                at += 2
        at += 1


def crates(root=ROOT):
    """Name and folder of each crate of the workspace that is no test."""
    members = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["members"]
    return {name: root / name for name in sorted(members) if name != "tests"}
