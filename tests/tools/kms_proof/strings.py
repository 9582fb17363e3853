"""The classes of languages.py against z3's own theory of strings: for random sets of patterns, it finds no
text with a combination of matches that is not a class, and every class has a text."""

import random

import z3

from languages import arn_glob, classes, glob, literal, many, one


def expression(tokens):
    """A pattern as a regular expression of z3."""
    text = z3.ReSort(z3.StringSort())
    parts = [z3.Re("")]
    for token in tokens:
        if token.chars is None:
            character = z3.AllChar(text)
        elif isinstance(token.chars, frozenset):
            character = z3.Union(*[z3.Re(c) for c in sorted(token.chars)], z3.Empty(text))
        else:
            character = z3.Diff(z3.AllChar(text), expression((one(token.chars.chars),)))
        parts.append(z3.Star(character) if token.many else character)
    return z3.Concat(*parts, z3.Re(""))


def draw(source):
    """Patterns over few letters, so that they meet often."""
    text = "".join(source.choice("ab:*?A") for _ in range(source.randint(0, 6)))
    return source.choice([
        lambda: literal(text.replace("*", "").replace("?", "")),
        lambda: literal(text.replace("*", "").replace("?", ""), ignore_case=True),
        lambda: glob(text),
        lambda: glob(text, frozenset("ab")),
        lambda: arn_glob(text + ":" + text),
    ])()


def agree(sets, seed=1):
    """For each set, whether z3 agrees: (classes, whether each has a text, whether there is no other)."""
    source = random.Random(seed)
    for _ in range(sets):
        tests = tuple((draw(source),) for _ in range(source.randint(1, 4)))
        domain = source.choice([((many(),),), ((one(frozenset("ab:")), many()),), ((many(frozenset("aA:")),),)])
        found = classes(domain, tests)
        text, solver = z3.String("text"), z3.Solver()
        solver.set("rlimit", 100_000)
        solver.add(z3.InRe(text, expression(domain[0])))
        matches = [z3.InRe(text, expression(test[0])) for test in tests]
        each = []
        for matched, shortest in found:
            solver.push()
            solver.add(text == shortest, *(m == z3.BoolVal(i in matched) for i, m in enumerate(matches)))
            each.append(solver.check() == z3.sat)
            solver.pop()
        for matched, _ in found:
            solver.add(z3.Or([m != z3.BoolVal(i in matched) for i, m in enumerate(matches)]))
        yield {"classes": len(found), "have_texts": all(each), "others": str(solver.check())}
