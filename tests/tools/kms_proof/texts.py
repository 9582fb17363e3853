"""The texts of a request, and what z3 is told of them.

Each text is a variable whose values are the classes of languages.py: z3 sees one Boolean for each class,
and one for each pattern that a statement asks for. A context key with many values is a set of classes.
"""

import z3

from languages import classes


class Text:
    """One text; with `several`, a set of texts, which may be empty."""

    def __init__(self, name, domain, several=False):
        self.name, self.domain, self.several = name, tuple(domain), several
        self.patterns, self.found = [], None

    def index(self, pattern):
        pattern = tuple(pattern)
        if pattern not in self.patterns:
            self.patterns.append(pattern)
        return self.patterns.index(pattern)

    def matches(self, pattern):
        """Whether one of these alternatives is the text; of a set, of some of its texts."""
        return z3.Bool(f"{self.name}~{self.index(pattern)}")

    def all_match(self, pattern):
        """Of a set: whether one of these alternatives is each of its texts; true of the empty set."""
        return z3.Bool(f"{self.name}~all~{self.index(pattern)}")

    def is_class(self, number):
        return z3.Bool(f"{self.name}={number}")

    def is_empty(self):
        return z3.Bool(f"{self.name}~empty")

    def axioms(self):
        """What the classes say of the patterns: complete, for every combination that exists is a class."""
        self.found = classes(self.domain, tuple(self.patterns))
        members = [self.is_class(number) for number in range(len(self.found))]
        if not self.several:
            yield z3.PbEq([(member, 1) for member in members], 1)
        for index, pattern in enumerate(self.patterns):
            yes = [m for m, (matched, _) in zip(members, self.found) if index in matched]
            no = [m for m, (matched, _) in zip(members, self.found) if index not in matched]
            yield self.matches(pattern) == z3.Or(yes)
            if self.several:
                yield self.all_match(pattern) == z3.Not(z3.Or(no))
        if self.several:
            yield self.is_empty() == z3.Not(z3.Or(members))

    def value(self, model):
        chosen = [
            text
            for number, (_, text) in enumerate(self.found)
            if z3.is_true(model.eval(self.is_class(number), model_completion=True))
        ]
        return chosen if self.several else chosen[0]


class Texts:
    """All texts of one request, and which of them are said to be equal."""

    def __init__(self):
        self.all, self.equal = {}, {}

    def text(self, name, domain, several=False):
        if name not in self.all:
            self.all[name] = Text(name, domain, several)
        return self.all[name]

    def equality(self, one, other):
        """Whether two texts are the same, which policy variables ask. Equal texts are of the same class by the
        patterns of both; which of the other texts of a class they are is left open, so that what z3 finds
        impossible is impossible, and a request that it finds may be none."""
        pair = tuple(sorted((one.name, other.name)))
        return self.equal.setdefault(pair, z3.Bool("=".join(("same", *pair))))

    def axioms(self):
        changed = True
        while changed:
            changed = False
            for pair in self.equal:
                one, other = (self.all[name] for name in pair)
                for a, b in ((one, other), (other, one)):
                    before = len(a.patterns)
                    for pattern in [b.domain, *b.patterns]:
                        a.index(pattern)
                    changed |= len(a.patterns) > before
        for text in self.all.values():
            yield from text.axioms()
        for pair, same in self.equal.items():
            one, other = (self.all[name] for name in pair)
            for pattern in one.patterns:
                if pattern in other.patterns:
                    yield z3.Implies(same, one.matches(pattern) == other.matches(pattern))
