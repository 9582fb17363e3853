"""Texts as finitely many classes.

A request's text (an ARN, a register, a tag) is only ever compared with patterns that the documents
write: literals, `*` and `?`, with or without case. So two texts that the same patterns match cannot
be told apart by any statement, and a text is sufficiently described by which of them match it. This
file finds every such combination that some text has, with the shortest text that has it: the patterns
are run side by side as automata, and every reachable end is kept. No combination is left out and none
is invented, which is what makes this abstraction exact for tests of one text.
"""

import functools
from collections import namedtuple

# One character out of `chars`, or, with `many`, any number of them. `chars` is a frozenset, None for every
# character, or Not of a frozenset.
Token = namedtuple("Token", "chars many")
Not = namedtuple("Not", "chars")

# Steps of all automata together, some seconds.
LIMIT = 5_000_000


class TooMany(Exception):
    """The patterns of one text have more combinations than are looked at."""


def one(chars=None):
    return Token(chars, False)


def many(chars=None):
    return Token(chars, True)


def literal(text, ignore_case=False):
    return tuple(one(frozenset({c.lower(), c.upper()} if ignore_case else {c})) for c in text)


def glob(text, chars=None, ignore_case=False):
    """`*` and `?` over `chars`. Characters that stand for themselves are not looked at."""
    tokens = []
    for c in text:
        if c == "*":
            tokens.append(many(chars))
        elif c == "?":
            tokens.append(one(chars))
        else:
            tokens += literal(c, ignore_case)
    return tuple(tokens)


def arn_glob(text):
    """A pattern of the Arn operators: each of the six parts between colons is compared by itself, so that
    a wildcard does not cross a colon, but in the last."""
    tokens, parts = (), text.split(":", 5)
    for index, part in enumerate(parts):
        last = index == 5
        tokens += (() if index == 0 else literal(":")) + glob(part, None if last else Not(frozenset(":")))
    return tokens


def has(chars, c):
    if chars is None:
        return True
    return c not in chars.chars if isinstance(chars, Not) else c in chars


def mentioned(patterns):
    """The sets of characters that the patterns tell apart."""
    sets = set()
    for alternatives in patterns:
        for tokens in alternatives:
            for token in tokens:
                if token.chars is not None:
                    sets.add(token.chars)
    return sets


def representatives(sets):
    """One character of each kind that the sets tell apart, and one that is in none of them by name."""
    named = set()
    for chars in sets:
        named |= chars.chars if isinstance(chars, Not) else chars
    other = next((c for c in "xyzwvutq0123456789ABCDEFGHIJKLMNOPrsponmlkjihgfedcba_~^|" if c not in named), "\u00b7")
    kinds = {}
    for c in sorted(named) + [other]:
        kinds.setdefault(tuple(has(chars, c) for chars in sets), c)
    return sorted(kinds.values())


class Automaton:
    """The alternatives of one pattern, side by side; a state is a bit for each place."""

    def __init__(self, alternatives):
        self.places, start, self.ends = [], 0, 0
        for tokens in alternatives:
            base = len(self.places)
            self.places += list(tokens) + [None]
            start |= 1 << base
            self.ends |= 1 << (base + len(tokens))
        self.start = self.closed(start)
        self.known = {}

    def closed(self, state):
        """A token that may be taken no times is also passed."""
        place, rest = 0, state
        while rest:
            place = (rest & -rest).bit_length() - 1
            rest &= rest - 1
            token = self.places[place]
            if token is not None and token.many and not state >> (place + 1) & 1:
                state |= 1 << (place + 1)
                rest |= 1 << (place + 1)
        return state

    def step(self, state, c):
        key = (state, c)
        if key not in self.known:
            after, rest = 0, state
            while rest:
                place = (rest & -rest).bit_length() - 1
                rest &= rest - 1
                token = self.places[place]
                if token is not None and has(token.chars, c):
                    after |= 1 << (place if token.many else place + 1)
            self.known[key] = self.closed(after)
        return self.known[key]


# Cases ask the same again and again.
@functools.lru_cache(maxsize=4096)
def classes(domain, tests):
    """Every combination of `tests` that some text of `domain` has: a list of (set of the tests that match,
    shortest text). Domain and tests are tuples of alternatives, and an alternative is a tuple of tokens."""
    machines = [Automaton(pattern) for pattern in tests]
    world = Automaton(domain)
    letters = representatives(mentioned((domain, *tests)))
    start = (world.start, tuple((i, m.start) for i, m in enumerate(machines)))
    found, seen, layer, steps = {}, {start}, [(start, "")], 0
    while layer:
        following = []
        for (place, live), text in layer:
            if place & world.ends:
                matched = frozenset(i for i, state in live if state & machines[i].ends)
                found.setdefault(matched, text)
            for c in letters:
                steps += 1 + len(live)
                if steps > LIMIT:
                    raise TooMany(f"{len(tests)} patterns of one text")
                next_place = world.step(place, c)
                if not next_place:
                    continue
                # Only machines that can still match are carried on.
                next_live = tuple((i, s) for i, s in ((i, machines[i].step(state, c)) for i, state in live) if s)
                state = (next_place, next_live)
                if state not in seen:
                    seen.add(state)
                    following.append((state, text + c))
        layer = following
    return sorted(found.items(), key=lambda item: (item[1], sorted(item[0])))
