"""Single requests, to judge the encoding itself: tests/vectors/iam/documented.json has those of AWS's own
pages, with what AWS answers."""

import ipaddress
import json
import re

import z3

from cases import Case
from conditions import Conditions, Uncovered, listed
from context import WITH_CONTEXT, key as context_key
from decide import Decision
from languages import literal
from policies import ARN, Policy

# What follows from the caller, the key or the clock.
FOLLOW = {
    "aws:principalarn", "aws:principalaccount", "kms:calleraccount", "aws:username", "aws:principalisawsservice",
    "aws:principalservicename", "aws:principalservicenameslist", "aws:principaltype", "aws:securetransport",
    "aws:requestedregion", "aws:resourceaccount", "aws:currenttime", "aws:epochtime",
}


def keys_named(case):
    """Every context key that some statement asks for, by itself or as a variable."""
    for policy in case.all_policies():
        for statement in policy.statements:
            for keys in (statement.get("Condition") or {}).values():
                for name, values in keys.items():
                    yield name.lower()
                    for value in listed(values):
                        yield from (v.split(",")[0].strip().lower() for v in re.findall(r"\$\{([^}]+)\}", str(value)))


class Replay(Decision):
    """One request with nothing left free."""

    def __init__(self, test, request):
        case = Case(test["name"], test["key_policy"])
        if test.get("session_policies"):
            raise Uncovered("session policies")
        if request.get("resource", test["key"]) != test["key"]:
            raise Uncovered("another resource than the key")
        for level in test.get("scps", ()):
            case.level(level)
        case.rcps = [Policy(p, "an RCP") for p in test.get("rcps", ())]
        case.granted(test.get("grants") or {"Grants": []})
        if test.get("endpoint_policy"):
            case.endpoints = [(Policy(test["endpoint_policy"], "an endpoint's policy"), None)]
            case.through_endpoint = True
        # What the caller could give himself first is not in this request.
        case.can_escalate = False
        self.asked, self.who = request, request.get("service") or request["caller"]
        if not request.get("service"):
            self.identity_arn, self.session_name = self.of_caller(request)
            case.bring(self.identity_arn, test.get("identity_policies", ()), test.get("boundaries", ()))
        super().__init__(case, test["key"])
        self.request.anywhere = True

    @staticmethod
    def of_caller(asked):
        """The ARN of the user or role, and the session of a role."""
        partition, service, account, rest = ARN.fullmatch(asked["caller"]).groups()
        if service == "sts" and rest.startswith("assumed-role/"):
            _, role, session = rest.split("/", 2)
            return asked.get("role_arn", f"arn:{partition}:iam::{account}:role/{role}"), session
        # A role calls by its sessions only: by one that no statement names.
        return asked["caller"], "of-no-statement" if rest.startswith("role/") else None

    def is_this(self, action):
        """The variables have the request's values, and what it has not is absent."""
        request, context = self.request, {name.lower(): v for name, v in self.asked.get("context", {}).items()}
        if self.asked.get("service"):
            yield request.service
            yield request.service_name.matches([literal(self.who)])
        else:
            yield request.is_arn(self.identity_arn)
            if self.session_name:
                yield request.session.matches([literal(self.session_name)])
        prefix = "kms:encryptioncontext:"
        names = [n[len(prefix):] for n in self.asked.get("context", {}) if n.lower().startswith(prefix)]
        if action in WITH_CONTEXT:
            context.setdefault("kms:encryptioncontextkeys", names)
        for name in sorted(set(keys_named(self.case)) | set(context)):
            key = context_key(request, name, action)
            if key is not None:
                yield from self.has(key, name, context)
            elif name in context:
                raise Uncovered(f"{name} in a request for {action}")

    def has(self, key, name, context):
        if name not in context:
            # Whether there is what follows from the caller, the formulas say.
            if name in ("aws:currenttime", "aws:epochtime", "aws:securetransport"):
                raise Uncovered("a request without what each has")
            if name not in FOLLOW:
                yield z3.Not(key.present)
            return
        values = listed(context[name])
        if key.kind == "several":
            spelled = [key.wrap(literal(v)) for v in values]
            yield from (key.value.matches(alternatives) for alternatives in spelled)
            yield key.value.all_match(sum(spelled, ())) if values else z3.Not(key.present)
            return
        yield key.present
        if key.kind == "text":
            yield key.value.matches(key.wrap(literal(values[0])))
        elif key.kind == "address":
            address = ipaddress.ip_address(values[0])
            yield z3.And(key.value[0] == z3.BoolVal(address.version == 4), key.value[1] == int(address))
        else:
            yield key.value == (Conditions.seconds if key.kind == "date" else Conditions.number)(values[0])

    def answer(self):
        action = self.asked["action"].removeprefix("kms:")
        allowed, this = self.allowed(action), list(self.is_this(action))
        solver = z3.Solver()
        solver.add(*this)
        solver.add(*self.request.axioms([]))
        if solver.check() != z3.sat:
            raise Uncovered("a request that cannot be")
        solver.add(allowed)
        return solver.check() == z3.sat


def replay(path):
    """Each request that AWS decides: its case, what AWS says, what the encoding says or why it says nothing."""
    for test in json.loads(path.read_text())["cases"]:
        for request in test["requests"]:
            if request["expected"] == "invalid":
                continue
            found = {"case": test["name"], "request": request, "right": request["expected"] == "allow"}
            try:
                decision = Replay(test, request)
                yield found | {"answer": decision.answer(), "widened": decision.widened()}
            except Uncovered as why:
                yield found | {"answer": None, "why": str(why)}
