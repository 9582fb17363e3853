"""Conditions as formulas, after the IAM User Guide: "Condition operators", "Single-valued vs. multivalued
context keys", "Conditions with multiple context keys or values", "Policy elements: Variables and tags".
"""

import datetime
import ipaddress
import re

import z3

from context import key as context_key
from languages import arn_glob, glob, literal

OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?")
VARIABLE = re.compile(r"\$\{([^}]*)\}")

# How a value is compared: exact, ignoring (case), glob or arn; and whether the operator is negated.
OF_TEXTS = {
    "StringEquals": ("exact", False), "StringNotEquals": ("exact", True),
    "StringEqualsIgnoreCase": ("ignoring", False), "StringNotEqualsIgnoreCase": ("ignoring", True),
    "StringLike": ("glob", False), "StringNotLike": ("glob", True),
    # "ArnEquals and ArnLike behave identically."
    "ArnEquals": ("arn", False), "ArnLike": ("arn", False), "ArnNotEquals": ("arn", True), "ArnNotLike": ("arn", True),
    "Bool": ("ignoring", False),
}
OF_NUMBERS = {
    "Equals": (lambda a, b: a == b, False), "NotEquals": (lambda a, b: a == b, True),
    "LessThan": (lambda a, b: a < b, False), "LessThanEquals": (lambda a, b: a <= b, False),
    "GreaterThan": (lambda a, b: a > b, False), "GreaterThanEquals": (lambda a, b: a >= b, False),
}
OF_ADDRESSES = {"IpAddress": False, "NotIpAddress": True}


class Uncovered(Exception):
    """Something that this encoding does not have: then it says nothing."""


def listed(value):
    return value if isinstance(value, list) else [value]


def word(value):
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


class Conditions:
    """The conditions of one policy for one request."""

    def __init__(self, request, action, variables):
        self.request, self.action, self.variables = request, action, variables

    def hold(self, block):
        """All operators, and all keys of each, have to hold."""
        return z3.And([
            self.holds(operator, name, listed(values))
            for operator, keys in (block or {}).items()
            for name, values in keys.items()
        ])

    def holds(self, operator, name, values):
        parsed = OPERATOR.fullmatch(operator)
        if not parsed:
            raise Uncovered(f"the operator {operator}")
        quantifier, base, if_exists = parsed.groups()
        key = context_key(self.request, name, self.action)
        if base == "Null":
            absent = z3.BoolVal(True) if key is None else z3.Not(key.present)
            return z3.Or([absent if word(v).lower() == "true" else z3.Not(absent) for v in values])
        negated = self.is_negated(base)
        if key is None:
            # A missing key meets no positive operator, and each negated one.
            if quantifier == "ForAnyValue":
                return self.either() if if_exists else z3.BoolVal(False)
            return z3.BoolVal(negated or bool(if_exists) or quantifier == "ForAllValues")
        some, every = self.matches(key, base, [word(v) for v in values])
        if quantifier == "ForAllValues":
            # True also of no value at all, for which an empty text counts.
            none = [z3.Not(key.present)]
            if key.kind in ("text", "several") and key.chars is None:
                none.append((key.value.all_match if key.kind == "several" else key.value.matches)([()]))
            met = z3.Or(*none, z3.Not(some) if negated else every)
        elif quantifier == "ForAnyValue":
            met = z3.And(key.present, z3.Not(every) if negated else some)
        else:
            met = z3.Or(z3.Not(key.present), z3.Not(some)) if negated else z3.And(key.present, some)
        if not if_exists:
            return met
        # The page on operators says true of ForAnyValue with IfExists and a missing key, the page on sets false.
        missing = self.either() if quantifier == "ForAnyValue" else z3.BoolVal(True)
        return z3.If(key.present, met, missing)

    def is_negated(self, base):
        if base in OF_TEXTS:
            return OF_TEXTS[base][1]
        if base in OF_ADDRESSES:
            return OF_ADDRESSES[base]
        for prefix in ("Numeric", "Date"):
            if base.removeprefix(prefix) in OF_NUMBERS and base.startswith(prefix):
                return OF_NUMBERS[base.removeprefix(prefix)][1]
        raise Uncovered(f"the operator {base}")

    def matches(self, key, base, values):
        """Whether some of the key's values matches one of these, and whether every one does."""
        if key.kind == "address":
            one = self.address_matches(key.value, base, values)
        elif key.kind in ("date", "number"):
            one = self.number_matches(key.value, base, values)
        elif base in OF_TEXTS:
            return self.text_matches(key, OF_TEXTS[base][0], values)
        else:
            raise Uncovered(f"{base} on a text")
        return one, one

    # Texts.

    def text_matches(self, key, style, values):
        alternatives, by_variable = [], []
        for value in values:
            if self.variables and VARIABLE.search(value):
                pattern = self.special(value, style, key)
                if pattern is None:
                    by_variable.append(self.variable(key, value, style))
                    continue
            else:
                pattern = self.tokens(value, style, key.chars)
            alternatives += key.wrap(pattern)
        if key.kind == "several":
            if by_variable:
                raise Uncovered("a policy variable in a list")
            if not alternatives:
                return z3.BoolVal(False), z3.Not(key.present)
            return key.value.matches(alternatives), key.value.all_match(alternatives)
        some = z3.Or(([key.value.matches(alternatives)] if alternatives else []) + by_variable)
        return some, some

    def tokens(self, value, style, chars):
        if style == "glob":
            return glob(value, chars)
        if style == "arn":
            return arn_glob(value)
        return literal(value, ignore_case=style == "ignoring")

    def special(self, value, style, key):
        """`${*}`, `${?}` and `${$}` stand for the character itself; None if there is a real variable."""
        tokens, at = (), 0
        for found in VARIABLE.finditer(value):
            if found.group(1) not in ("*", "?", "$"):
                return None
            tokens += self.tokens(value[at:found.start()], style, key.chars) + literal(found.group(1))
            at = found.end()
        return tokens + self.tokens(value[at:], style, key.chars)

    def variable(self, key, value, style):
        """A value with variables. A variable without a value makes a text that nothing equals. Two whole
        texts are compared; of a text in which the variable is a part, both outcomes are tried."""
        names = [found.group(1).split(",")[0].strip() for found in VARIABLE.finditer(value)]
        others = [context_key(self.request, name, self.action) for name in names]
        whole = VARIABLE.fullmatch(value)
        has_default = any("," in found.group(1) for found in VARIABLE.finditer(value))
        if has_default:
            return self.either()
        if any(other is None for other in others):
            return z3.BoolVal(False)
        present = z3.And([other.present for other in others])
        other = others[0]
        texts = all(k.kind == "text" and k.chars is None for k in (key, other))
        if whole and texts and style == "exact":
            return z3.And(present, self.request.texts.equality(key.value, other.value))
        return z3.And(present, self.either())

    def either(self):
        """Both outcomes are tried, where AWS would have one."""
        self.request.widened = True
        return z3.FreshBool("variable")

    # Addresses, numbers and dates.

    def address_matches(self, value, base, values):
        is_v4, bits = value
        some = []
        for text in values:
            if base in OF_ADDRESSES:
                try:
                    network = ipaddress.ip_network(text, strict=False)
                except ValueError as error:
                    raise Uncovered(f"the address {text}") from error
            elif OF_TEXTS.get(base, ("",))[0] in ("exact", "ignoring") and not any(c in text for c in "/$"):
                try:
                    network = ipaddress.ip_network(text)
                except ValueError:
                    continue
            elif OF_TEXTS.get(base, ("",))[0] in ("exact", "ignoring") and "/" in text:
                # A range is no address: as a text it equals none.
                continue
            else:
                raise Uncovered(f"{base} on an address")
            shift = network.max_prefixlen - network.prefixlen
            first = int(network.network_address) >> shift
            some.append(z3.And(
                is_v4 == z3.BoolVal(network.version == 4),
                z3.ULE(bits, (1 << network.max_prefixlen) - 1),
                z3.LShR(bits, shift) == first,
            ))
        return z3.Or(some)

    def number_matches(self, value, base, values):
        for prefix, read in (("Numeric", self.number), ("Date", self.seconds)):
            if base.startswith(prefix):
                compare = OF_NUMBERS[base.removeprefix(prefix)][0]
                return z3.Or([compare(value, read(text)) for text in values])
        raise Uncovered(f"{base} on a number or date")

    @staticmethod
    def number(text):
        try:
            return z3.RealVal(text)
        except z3.Z3Exception as error:
            raise Uncovered(f"the number {text}") from error

    @staticmethod
    def seconds(text):
        """ISO 8601, or seconds since 1970."""
        if re.fullmatch(r"\d+", text):
            return z3.RealVal(text)
        try:
            read = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError as error:
            raise Uncovered(f"the date {text}") from error
        if read.tzinfo is None:
            read = read.replace(tzinfo=datetime.timezone.utc)
        return z3.RealVal(str(read.timestamp()))
