"""Metric filters of CloudWatch Logs and event patterns of EventBridge, as far as watch.yaml uses them.

AWS: CloudWatch Logs User Guide, "Filter pattern syntax for metric filters"; EventBridge User Guide,
"Comparison operators". What is unknown here is an error.
"""

import fnmatch
import re

TOKEN = re.compile(r'\s*(\(|\)|&&|\|\||!=|=|"[^"]*"|\$(?:\.[A-Za-z]+(?:\[[0-9]+\])?)+)')
STEP = re.compile(r"\.([A-Za-z]+)(?:\[([0-9]+)\])?")


def tokens(pattern):
    text = pattern.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise ValueError("a pattern of JSON, {…}, was expected")
    text, found, at = text[1:-1].rstrip(), [], 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if not token:
            raise ValueError(text[at:])
        found.append(token.group(1))
        at = token.end()
    return found


def value(event, selector):
    for name, index in STEP.findall(selector):
        event = event.get(name) if isinstance(event, dict) else None
        if index:
            event = event[int(index)] if isinstance(event, list) and int(index) < len(event) else None
    return event if isinstance(event, str) else None


class Filter:
    """A filter's pattern. `&&` binds more than `||`."""

    def __init__(self, pattern):
        self.rest = tokens(pattern)
        self.tree = self.any()
        if self.rest:
            raise ValueError(self.rest)

    def any(self):
        parts = [self.all()]
        while self.rest and self.rest[0] == "||":
            self.rest.pop(0)
            parts.append(self.all())
        return lambda event: any(part(event) for part in parts)

    def all(self):
        parts = [self.one()]
        while self.rest and self.rest[0] == "&&":
            self.rest.pop(0)
            parts.append(self.one())
        return lambda event: all(part(event) for part in parts)

    def one(self):
        first = self.rest.pop(0)
        if first == "(":
            inner = self.any()
            if self.rest.pop(0) != ")":
                raise ValueError("a closing bracket was expected")
            return inner
        operator, text = self.rest.pop(0), self.rest.pop(0)
        if not first.startswith("$") or operator not in ("=", "!=") or not text.startswith('"'):
            raise ValueError((first, operator, text))
        # Only the star is special in these patterns.
        shape = fnmatch.translate(text[1:-1].replace("[", "[[]").replace("?", "[?]"))

        def compare(event):
            found = value(event, first)
            same = found is not None and re.match(shape, found) is not None
            return same if operator == "=" else found is not None and not same

        return compare

    def matches(self, event):
        return self.tree(event)


def fits(pattern, event):
    """Whether an event has a form."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(fits(one, event) for one in wanted):
                return False
        elif isinstance(wanted, dict):
            if not fits(wanted, event.get(name, {})):
                return False
        elif not any(fits_one(one, event.get(name)) for one in wanted):
            return False
    return True


def fits_one(wanted, found):
    if isinstance(wanted, str) or found is None:
        return wanted == found
    ((operator, text),) = wanted.items()
    match operator:
        case "prefix":
            return found.startswith(text)
        case "suffix":
            return found.endswith(text)
        case "wildcard":
            return fnmatch.fnmatchcase(found, text)
    raise ValueError(operator)
