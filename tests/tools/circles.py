#!/usr/bin/env -S python3 -B
"""Finds circles of files inside each crate.

A file imports another when its code names something that the other defines, in `use` or in a path
(`crate::…`, `self::…`, `super::…`, or a module in scope). A name that is passed on (`pub use`) leads to
the file that defines it, not to the files on the way. These are no imports: `mod name;`; what a
module's file names of the modules below it, of which it is made; what stands under `#[cfg(test)]`.
Files that can reach each other are one circle."""
from rust_source import ROOT, crates, files_of, group_end, item_end, modules

DEFINING = {"const", "enum", "fn", "macro_rules", "mod", "static", "struct", "trait", "type", "union"}
QUALIFIERS = {"async", "default", "extern", "pub", "unsafe"}


class Module:
    """What a module has in it: the file of each definition, and where each imported name comes from."""

    def __init__(self, file):
        self.file, self.defined, self.imported, self.globs = file, {}, {}, []


def use_tree(tokens, at, end, prefix):
    """The (path, name) pairs of the tree of a `use` between two positions; the name of a glob is `*`."""
    path = list(prefix)
    while at < end:
        text = tokens[at].text
        if text == "{":
            inner, close = at + 1, group_end(tokens, at) - 1
            while inner < close:
                stop = inner
                while stop < close and tokens[stop].text != ",":
                    stop = group_end(tokens, stop) if tokens[stop].text == "{" else stop + 1
                yield from use_tree(tokens, inner, stop, path)
                inner = stop + 1
            return
        if text == "as":
            yield tuple(path), tokens[at + 1].text
            return
        if text == "*":
            yield tuple(path), "*"
            return
        if text != "::":
            path.append(text)
        at += 1
    if path != list(prefix):
        named = path[:-1] if path[-1] == "self" else path
        yield tuple(named), named[-1]


def survey(files):
    """The modules of a crate by path, and the paths that each file names, as (module, path)."""
    table, named = {}, []
    for file in files:
        table[file.module] = Module(file.path)
    for file in files:
        for inline, name, _ in modules(file.tokens):
            table.setdefault((*file.module, *inline), Module(file.path)).defined[name] = None
        read(file, file.tokens, file.module, table, named)
    return table, named


def read(file, tokens, path, table, named):
    """Reads a module's tokens into the table and the named paths."""
    module = table.setdefault(path, Module(file.path))
    at, depth = 0, 0
    while at < len(tokens):
        kind, text, _ = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if text == "use" and kind == "ident" and (at == 0 or tokens[at - 1].text != "<"):
            end = item_end(tokens, at)
            for target, name in use_tree(tokens, at + 1, end - 1, ()):
                named.append((file.path, path, target))
                if name == "*":
                    module.globs.append(target)
                elif name != "_":
                    module.imported[name] = target
            at = end
            continue
        if text == "mod" and kind == "ident" and following and at + 2 < len(tokens) and tokens[at + 2].text == "{":
            end = group_end(tokens, at + 2)
            module.defined[following.text] = None
            read(file, tokens[at + 3 : end - 1], (*path, following.text), table, named)
            at = end
            continue
        if kind == "punct" and text in "{}":
            depth += 1 if text == "{" else -1
        elif kind == "ident" and depth == 0 and text in DEFINING:
            name = tokens[at + 2] if text == "macro_rules" else following
            if name and name.kind == "ident" and name.text not in QUALIFIERS | {"fn"}:
                module.defined.setdefault(name.text, file.path)
        if kind == "ident" and following and following.text == "::" and (at == 0 or tokens[at - 1].text != "::"):
            steps, end = [text], at + 2
            while end < len(tokens) and tokens[end].kind == "ident":
                steps.append(tokens[end].text)
                if end + 1 >= len(tokens) or tokens[end + 1].text != "::":
                    break
                end += 2
            named.append((file.path, path, tuple(steps)))
        at += 1


def resolve(table, module, path, seen=frozenset()):
    """The file that defines what a path means in a module; None for what is not of this crate."""
    if (module, path) in seen:
        return None
    seen = seen | {(module, path)}
    here, rest = module, list(path)
    if rest and rest[0] == "crate":
        here, rest = module[:1] if module[:1] and module[0].startswith("<") else (), rest[1:]
    else:
        while rest and rest[0] in ("self", "super"):
            here, rest = (here[:-1] if rest[0] == "super" else here), rest[1:]
    relative = here == module and path[:1] not in (("crate",), ("self",))
    while True:
        if not rest:
            return None if relative or here not in table else table[here].file
        name, known = rest[0], table.get(here)
        if known is None:
            return None
        if (*here, name) in table and (name in known.defined):
            here, rest, relative = (*here, name), rest[1:], False
            continue
        if known.defined.get(name):
            return known.defined[name]
        if name in known.imported:
            target = known.imported[name]
            if target[:1] == (name,) and len(target) == 1:
                return None
            return resolve(table, here, (*target, *rest[1:]), seen)
        for glob in known.globs:
            if (file := resolve(table, here, (*glob, name), seen)) is not None:
                return file
        return None


def imports(files):
    """The files that each file imports."""
    table, named = survey(files)
    modules_of = {file.path: file.module for file in files}
    graph = {file.path: set() for file in files}
    for file, module, path in named:
        target = resolve(table, module, path)
        if target is not None and not below(modules_of[target], modules_of[file]):
            graph[file].add(target)
    return graph


def below(module, parent):
    """Whether a module is another, or below it."""
    return module[: len(parent)] == parent


def circles(graph):
    """The sets of at least two files that reach each other (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            circle = []
            while not circle or circle[-1] != node:
                circle.append(stack.pop())
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def all_circles(root=ROOT):
    """The circles of each crate, and the graphs in which they are."""
    graphs = {name: imports(files_of(folder)) for name, folder in crates(root).items()}
    return {name: circles(graph) for name, graph in graphs.items()}, graphs


if __name__ == "__main__":
    found, graphs = all_circles()
    for crate, of_crate in found.items():
        for circle in of_crate:
            print(f"{crate}: {len(circle)} files")
            for file in circle:
                inside = sorted(str(target.relative_to(ROOT / crate / "src")) for target in graphs[crate][file] & set(circle))
                print(f"  {file.relative_to(ROOT / crate / 'src')} imports {', '.join(inside)}")
