"""What is brought of a key: a case of tests/vectors/kms-audit, or a policy with the arguments of
`cofferdam kms audit`."""

import itertools
import json
import pathlib
import re
import shlex

from conditions import Uncovered, listed
from policies import Policy

REGISTER = re.compile(r"kms:recipientattestation:(?:(pcr|nitrotpmpcr)(\d+)|imagesha384)")
KEY_ARN = re.compile(r"arn:(aws[a-z-]*):kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")
MEMBERS = {
    "about", "attack", "source", "policy", "policy_file", "key", "identities", "others", "scp", "rcp", "grants",
    "endpoints", "facts", "images", "admins", "encrypters", "expected", "details",
    # Who may become whom is nothing that a request to the key shows.
    "trusts",
}


class Case:
    """The documents, read; `keys` are the ARNs that the key may have."""

    def __init__(self, name, policy):
        self.name, self.document = name, policy
        self.key_policy = Policy(policy, "the key policy")
        self.identities, self.scps, self.rcps, self.grants = {}, [], [], []
        self.images, self.admins, self.encrypters, self.keys = [], [], [], []
        # The policies of VPC endpoints, with the endpoint's id; None is each that the key policy names.
        self.endpoints = []
        # Whether every request comes through the endpoints, as one that is replayed does.
        self.through_endpoint = False
        # What `describe-key` says that the key is for; None is not known.
        self.usage = None
        # Whether a caller who may write IAM policies writes himself what he lacks.
        self.can_escalate = True

    def bring(self, arn, policies=None, boundaries=()):
        """IAM policies of a user or role, or, without an ARN, of everyone of the account; None: not known."""
        known, bounds = self.identities.get(arn, (None, []))
        if policies is not None:
            known = (known or []) + [Policy(p, "an IAM policy") for p in policies]
        self.identities[arn] = (known, bounds + [Policy(p, "a boundary") for p in boundaries])

    def level(self, documents):
        level = [Policy(d, "an SCP") for d in documents]
        if not any(s["Effect"] == "Allow" for p in level for s in p.statements):
            raise Uncovered("a level of SCPs that allows nothing")
        self.scps.append(level)

    def granted(self, listing):
        if isinstance(listing, list):
            listing = {"Grants": listing}
        if listing.get("Truncated"):
            raise Uncovered("a part of the grants")
        self.grants += listing["Grants"]

    def all_policies(self):
        return [
            self.key_policy, *self.rcps, *itertools.chain(*self.scps),
            *(p for pair in self.identities.values() for policies in pair for p in policies or ()),
        ]

    def named_endpoints(self):
        """The VPC endpoints that the key policy speaks of."""
        blocks = [statement.get("Condition") or {} for statement in self.key_policy.statements]
        keys = [item for block in blocks for found in block.values() for item in found.items()]
        return sorted({v for name, values in keys if name.lower() == "aws:sourcevpce" for v in listed(values)})

    def finish(self, key):
        """Without named images, those that the policies name are taken for ours; without a key, each that the
        policy names, or one of each account that it names."""
        if not self.images:
            self.images = [image for policy in self.all_policies() for image in named_images(policy)]
        self.images = [i for i in self.images if "0" * 96 not in (i.get("0"), i.get("1"), i.get("2"), i.get("tpm4"))]
        text = json.dumps(self.document)
        named = {found.group() for found in KEY_ARN.finditer(text)}
        named |= {grant["KeyId"] for grant in self.grants if "KeyId" in grant}
        accounts = set(re.findall(r"(?<!\d)\d{12}(?!\d)", text)) or {"111122223333"}
        partition = next(iter(re.findall(r'"arn:(aws[a-z-]*):', text)), "aws")
        made_up = {f"arn:{partition}:kms:eu-west-1:{a}:key/00000000-1111-2222-3333-444444444444" for a in accounts}
        self.keys = [key] if key else sorted(named) or sorted(made_up)
        if any(not KEY_ARN.fullmatch(k) for k in self.keys):
            raise Uncovered("the ARN of something that is no key")
        return self


def by_register(registers):
    """Images of which each register was named by itself: the first of one with the first of the others, if there
    are as many of each, and otherwise each with each."""
    names, lists = list(registers), [[v.lower() for v in listed(v)] for v in registers.values()]
    longest = max(map(len, lists), default=0)
    if all(len(l) in (1, longest) for l in lists):
        rows = zip(*(l * longest if len(l) == 1 else l for l in lists))
    else:
        rows = itertools.product(*lists)
    return [dict(zip(names, row)) for row in rows]


def named_images(policy):
    """The whole images that a policy demands, in an Allow that compares registers or a Deny for all others."""
    for statement in policy.statements:
        registers = {}
        for operator, keys in (statement.get("Condition") or {}).items():
            base = operator.split(":")[-1].removesuffix("IfExists")
            wanted = "StringNot" if statement["Effect"] == "Deny" else "String"
            if base.removeprefix(wanted) not in ("Equals", "EqualsIgnoreCase", "Like"):
                continue
            for name, values in keys.items():
                found = REGISTER.fullmatch(name.lower())
                if not found:
                    continue
                register = ("tpm" if found.group(1) == "nitrotpmpcr" else "") + (found.group(2) or "0")
                lower = [v.lower() if base.endswith("IgnoreCase") else v for v in map(str, listed(values))]
                registers.setdefault(register, []).extend(v for v in lower if re.fullmatch("[0-9a-f]{96}", v))
        if "0" in registers:
            yield from ({"0": v} for v in registers["0"])
        elif "1" in registers and "2" in registers:
            yield from ({"1": a, "2": b} for a, b in itertools.product(registers["1"], registers["2"]))
        machine = {n: registers[n] for n in ("tpm4", "tpm7", "tpm12") if registers.get(n)}
        if "tpm4" in machine:
            yield from (dict(zip(machine, row)) for row in itertools.product(*machine.values()))


def of_collection(path, vectors):
    """A file of tests/vectors/kms-audit/cases, whose members the README there names."""
    found = json.loads(path.read_text())
    if set(found) - MEMBERS:
        raise Uncovered(f"the members {sorted(set(found) - MEMBERS)}")
    policy = found.get("policy") or json.loads((vectors / found["policy_file"]).read_text())
    case = Case(path.name, policy)
    parameters = json.loads((vectors / "deploy/parameters.json").read_text())
    for arn, identity in found.get("identities", {}).items():
        case.bring(arn, identity.get("policies"), identity.get("boundaries", ()))
    for level in found.get("scp", ()):
        case.level(level)
    case.rcps = [Policy(p, "an RCP") for p in found.get("rcp", ())]
    case.granted(found.get("grants", {"Grants": []}))
    if found.get("others") == "none":
        case.bring(None, policies=[])
    for endpoint in found.get("endpoints", ()):
        case.endpoints.append((Policy(endpoint["policy"], "an endpoint's policy"), endpoint.get("id")))
    case.usage = found.get("facts", {}).get("KeyMetadata", {}).get("KeyUsage")
    case.encrypters = found.get("encrypters", [])
    admins = found.get("admins", [])
    case.admins = [parameters["admin"]] if admins == "sample" else admins
    case.images = by_register(found.get("images", {}))
    return case.finish(found.get("key") or (parameters["key"] if "policy_file" in found else None))


def of_arguments(path, arguments):
    """A policy and what `cofferdam kms audit` gets beside it; files lie beside the policy."""
    def read(name):
        return json.loads((path.parent / name).read_text())

    case, key, registers = Case(path.name, read(path.name)), None, {}
    words = iter(shlex.split(arguments))
    for option in words:
        value = next(words)
        arn, _, file = value.rpartition("=")
        if option == "--admin":
            case.admins.append(value)
        elif option == "--key":
            key = value
        elif option == "--pcr":
            registers.setdefault(arn, []).append(file)
        elif option == "--image":
            measured = read(value)["Measurements"]
            image = {n.removeprefix("PCR"): v.lower() for n, v in measured.items() if n.startswith("PCR")}
            case.images.append(image)
        elif option == "--scp":
            case.level([read(f) for f in value.split(",")])
        elif option == "--rcp":
            case.rcps.append(Policy(read(value), "an RCP"))
        elif option == "--grants":
            case.granted(read(value))
        elif option == "--identity-policy":
            case.bring(arn or None, policies=[read(file)])
        elif option == "--boundary":
            case.bring(arn, boundaries=[read(file)])
        elif option == "--endpoint-policy":
            case.endpoints.append((Policy(read(value), "an endpoint's policy"), None))
        elif option == "--encrypter":
            case.encrypters.append(value)
        else:
            raise Uncovered(f"the option {option}")
    case.images += by_register(registers)
    return case.finish(key)


def of_verdicts(table):
    """The rows of a verdicts.tsv: (file, exit code that is right, arguments)."""
    table = pathlib.Path(table)
    for line in table.read_text().splitlines():
        if line and not line.startswith("#"):
            name, code, _, arguments = line.split("\t")[:4]
            yield table.parent / name, int(code), arguments
