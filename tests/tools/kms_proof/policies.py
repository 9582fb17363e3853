"""Policies as formulas: whether a statement is about a request, and what all of them together say."""

import re

import z3

from conditions import VARIABLE, Conditions, Uncovered, listed
from languages import literal

MEMBERS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}
ACCOUNT_ID = re.compile(r"\d{12}")
# Unique ids of deleted principals: nobody is they any more (IAM User Guide, "IAM identifiers").
UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{4,}")
ARN = re.compile(r"arn:(aws[a-z-]*):(iam|sts)::(\d{12}):(.+)")


def like(pattern, text, ignore_case):
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL) is not None


class Policy:
    """One document. Its version decides whether `${…}` is a variable."""

    def __init__(self, document, name):
        if not isinstance(document, dict) or set(document) - {"Version", "Id", "Statement"}:
            raise Uncovered(f"the members of {name}")
        self.name, self.variables = name, document.get("Version") == "2012-10-17"
        # Whether more was tried than AWS would do: what is found then may be no request.
        self.widened = False
        self.statements = listed(document.get("Statement", []))
        for statement in self.statements:
            if set(statement) - MEMBERS or statement.get("Effect") not in ("Allow", "Deny"):
                raise Uncovered(f"the members of a statement of {name}")

    def about(self, action, key_arn, effect):
        """The statements of this effect for an action on the key. One without action or resource is about
        nothing."""
        return [s for s in self.statements if s["Effect"] == effect and self.is_about(s, action, key_arn)]

    @staticmethod
    def names(statement, action):
        """Whether the statement's actions are this one, with its service's prefix, among others."""
        if "Action" in statement:
            return any(like(pattern, action, True) for pattern in listed(statement["Action"]))
        if "NotAction" in statement:
            return not any(like(pattern, action, True) for pattern in listed(statement["NotAction"]))
        return False

    def is_about(self, statement, action, key_arn):
        if not self.names(statement, f"kms:{action}"):
            return False
        # Of a variable in a resource any value is tried: an Allow reaches further, a Deny less far.
        anything = (statement["Effect"] == "Allow") == ("Resource" in statement)

        def resource(pattern):
            if self.variables and VARIABLE.search(pattern):
                self.widened = True
                pattern = VARIABLE.sub("*" if anything else "\0", pattern)
            return like(pattern, key_arn, False)

        if "Resource" in statement:
            return any(resource(r) for r in listed(statement["Resource"]))
        if "NotResource" in statement:
            return not any(resource(r) for r in listed(statement["NotResource"]))
        return False

    def allows_iam(self, action):
        """Whether it allows an action of IAM on something of IAM, under some condition or none."""
        return any(
            s["Effect"] == "Allow" and self.names(s, action)
            and ("NotResource" in s or any(r == "*" or ":iam:" in r for r in listed(s.get("Resource", []))))
            for s in self.statements
        )

    def conditions(self, statement, request, action):
        return Conditions(request, action, self.variables).hold(statement.get("Condition"))

    def says(self, effect, request, action, who=lambda statement: True):
        """Whether a statement of this effect holds for the request and its caller."""
        return z3.Or([
            z3.And(who(s), self.conditions(s, request, action))
            for s in self.about(action, request.key_arn, effect)
        ])


class Named:
    """Whom the principals of a statement name: by which element, for that decides what else limits them."""

    def __init__(self, request, element):
        self.request = request
        self.everyone = False
        self.directly, self.roles, self.accounts, self.services = [], [], [], []
        for kind, values in ({"AWS": element} if element == "*" else element).items():
            for value in listed(values):
                self.add(kind, value)

    def add(self, kind, value):
        request = self.request
        if kind == "Service":
            if value == "*":
                self.services.append(request.service)
            else:
                name = literal(value)
                self.services.append(z3.And(request.service, request.service_name.matches([name])))
        elif kind != "AWS":
            raise Uncovered(f"a principal of type {kind}")
        elif value == "*":
            self.everyone = True
        elif ACCOUNT_ID.fullmatch(value):
            self.accounts.append(value)
        elif ARN.fullmatch(value):
            _, service, account, rest = ARN.fullmatch(value).groups()
            if rest == "root":
                self.accounts.append(account)
            elif rest.startswith("role/"):
                self.roles.append(request.is_arn(value))
            elif rest.startswith("assumed-role/") and service == "sts":
                _, role, session = rest.split("/", 2)
                self.directly.append(request.is_session(account, role, session))
            else:
                self.directly.append(request.is_arn(value))
        elif not UNIQUE_ID.fullmatch(value):
            raise Uncovered(f"the principal {value}")

    def anyone(self):
        """Whether the caller is named at all, as a Deny asks: an account is everyone in it."""
        if self.everyone:
            return z3.BoolVal(True)
        accounts = [self.request.in_account(account) for account in self.accounts]
        return z3.Or(self.directly + self.roles + self.services + accounts)

    def by_own_name(self):
        """Whether the caller itself is named: an account names its root user."""
        roots = [z3.And(self.request.kind("root"), self.request.in_account(a)) for a in self.accounts]
        return z3.Or(self.directly + self.roles + self.services + roots)


def denied_to(request, bounded):
    """Whom a Deny is for. AWS's page on NotPrincipal leaves open whether a caller is excepted of whom only the
    role or only the session is listed; it is tried that he is. An account that is listed excepts nobody in it
    but its root user, for the others are not listed; and who has a permissions boundary is never excepted."""
    def who(statement):
        if "NotPrincipal" in statement:
            named = Named(request, statement["NotPrincipal"])
            return z3.BoolVal(False) if named.everyone else z3.Or(z3.Not(named.by_own_name()), bounded)
        if "Principal" in statement:
            return Named(request, statement["Principal"]).anyone()
        return z3.BoolVal(False)
    return who
