"""The context keys of a request, as the IAM User Guide ("AWS global condition context keys") and the KMS
Developer Guide ("AWS KMS condition keys") have them: whose value follows from what, and in which requests
a key is at all. A key that stands on neither page is in no request.
"""

from collections import namedtuple

import z3

from languages import Not, literal, many, one
from request import ANYTHING, ATTESTED, DIGITS, SOMETHING

# `kind`: text, several (a set of texts), address, date or number. `wrap` makes of a pattern for the value the
# patterns for the text, where the value is a part of one; `chars` is what the value consists of.
Key = namedtuple("Key", "kind present value wrap chars")

WITH_CONTEXT = {
    "CreateGrant", "Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
}
# KMS API Reference, CreateGrant.
GRANT_OPERATIONS = (
    "CreateGrant", "Decrypt", "DeriveSharedSecret", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetPublicKey",
    "ReEncryptFrom", "ReEncryptTo", "RetireGrant", "Sign", "Verify", "VerifyMac",
)

# Of the caller: in the requests of users, sessions and root users.
OF_PRINCIPALS = {
    "text": ["aws:principalorgid", "aws:userid", "aws:federatedprovider", "aws:sourceidentity", "sts:sourceidentity",
             "aws:ec2instancesourcevpc", "ec2:sourceinstancearn", "ec2:roledelivery", "lambda:sourcefunctionarn",
             "sts:rolesessionname"],
    "several": ["aws:principalorgpaths"],
    "boolean": ["aws:multifactorauthpresent", "aws:assumedroot"],
    "number": ["aws:multifactorauthage"],
    "date": ["aws:tokenissuetime"],
    "address": ["aws:ec2instancesourceprivateipv4"],
}
# Of a service that calls for somebody: in its own requests only.
OF_SERVICES = {
    "text": ["aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid"],
    "several": ["aws:sourceorgpaths"],
}
OF_ALL = {
    "text": ["aws:sourcevpc", "aws:sourcevpce", "aws:vpceaccount", "aws:vpceorgid", "aws:calledviafirst",
             "aws:calledvialast", "aws:useragent", "aws:referer", "aws:resourceorgid", "kms:viaservice",
             "kms:requestalias", "kms:keyspec", "kms:keyusage", "kms:keyorigin", "kms:multiregionkeytype",
             "kms:customermasterkeyspec", "kms:customermasterkeyusage"],
    "several": ["aws:calledvia", "aws:vpceorgpaths", "aws:resourceorgpaths", "kms:resourcealiases"],
    "boolean": ["aws:viaawsservice", "kms:multiregion"],
    "address": ["aws:sourceip", "aws:vpcsourceip"],
}
# Of the parameters of some operations only.
OF_ACTIONS = {
    "kms:bypasspolicylockoutsafetycheck": ("boolean", {"PutKeyPolicy", "ReplicateKey"}),
    "kms:grantisforawsresource": ("boolean", {"CreateGrant"}),
    "kms:grantconstrainttype": ("text", {"CreateGrant"}),
    "kms:granteeprincipal": ("text", {"CreateGrant"}),
    "kms:retiringprincipal": ("text", {"CreateGrant"}),
    "kms:reencryptonsamekey": ("boolean", {"ReEncryptFrom", "ReEncryptTo"}),
    "kms:replicaregion": ("text", {"ReplicateKey"}),
    "kms:encryptionalgorithm": ("text", WITH_CONTEXT - {"CreateGrant"}),
    "kms:signingalgorithm": ("text", {"Sign"}),
    "kms:messagetype": ("text", {"Sign"}),
    "kms:macalgorithm": ("text", {"GenerateMac"}),
    "kms:keyagreementalgorithm": ("text", {"DeriveSharedSecret"}),
    "kms:datakeypairspec": ("text", {"GenerateDataKeyPair"}),
    "kms:expirationmodel": ("text", {"ImportKeyMaterial"}),
    "kms:wrappingalgorithm": ("text", {"ImportKeyMaterial"}),
    "kms:wrappingkeyspec": ("text", {"ImportKeyMaterial"}),
    "kms:validto": ("date", {"ImportKeyMaterial"}),
    "kms:schedulekeydeletionpendingwindowindays": ("number", {"ScheduleKeyDeletion"}),
    # Of operations that are not asked for here.
    "aws:tagkeys": ("several", set()),
}
PRINCIPAL_TYPES = {"user": "User", "role": "AssumedRole", "root": "Account", "federated-user": "FederatedUser"}
BOOLEAN = (literal("true"), literal("false"))
NO_SLASH = Not(frozenset("/"))


def plain(kind, present, value):
    return Key(kind, present, value, lambda tokens: (tokens,), None)


def free(request, kind, name, when=True):
    """A key that may or may not be there, of any value."""
    present = z3.And(z3.Bool(f"has {name}"), when)
    if kind in ("text", "boolean"):
        return plain("text", present, request.texts.text(name, BOOLEAN if kind == "boolean" else ANYTHING))
    if kind == "several":
        text = request.texts.text(name, ANYTHING, several=True)
        return plain(kind, z3.And(when, z3.Not(text.is_empty())), text)
    if kind == "address":
        return plain(kind, present, (z3.Bool(f"{name} is IPv4"), z3.BitVec(name, 128)))
    return plain(kind, present, z3.Real(name))


def fixed(request, name, *values):
    """A key that is always there, of one of these values."""
    return plain("text", z3.BoolVal(True), request.texts.text(f"always {name}", [literal(v) for v in values]))


def of_caller(request, name, _):
    """The keys that follow from the caller's ARN."""
    iam = request.prefixes[0]
    if name == "aws:principalarn":
        return plain("text", request.principal, request.arn)
    if name in ("aws:principalaccount", "kms:calleraccount"):
        return Key("text", request.principal, request.arn, lambda t: tuple(request.of_account(t)), DIGITS)
    if name == "aws:username":
        base = iam + (many(DIGITS),) + literal(":user/")
        wrap = lambda t: (base + t, base + (many(),) + literal("/") + t)
        return Key("text", request.kind("user"), request.arn, wrap, NO_SLASH)
    if name == "aws:principalisawsservice":
        text = request.texts.text("always aws:principalisawsservice", BOOLEAN)
        request.also.append(request.service == text.matches([literal("true")]))
        return plain("text", z3.Not(request.anonymous), text)
    if name in ("aws:principalservicename", "aws:principalservicenameslist"):
        return plain("text", request.service, request.service_name)
    if name == "aws:principaltype":
        text = request.texts.text("always aws:principaltype", [literal(t) for t in PRINCIPAL_TYPES.values()])
        for kind, word in PRINCIPAL_TYPES.items():
            request.also.append(z3.Implies(request.principal, request.kind(kind) == text.matches([literal(word)])))
        return plain("text", request.principal, text)
    return None


def of_document(request, name, action):
    """The registers: only of a request with a document, to an operation that takes one."""
    rest = name.removeprefix("kms:recipientattestation:")
    if rest == name or not (action in ATTESTED or request.anywhere):
        return None
    if rest == "imagesha384":
        return plain("text", request.enclave_document, request.register(0))
    for prefix, highest in (("nitrotpmpcr", 23), ("pcr", 31)):
        number = rest.removeprefix(prefix)
        if rest.startswith(prefix) and number.isdecimal() and str(int(number)) == number and int(number) <= highest:
            if prefix != "pcr":
                return plain("text", request.tpm_document, request.tpm_register(int(number)))
            present = request.enclave_document
            if int(number) > 15:
                present = z3.And(present, request.extended(int(number)))
            return plain("text", present, request.register(int(number)))
    return None


def of_encryption_context(request, name, action):
    """A condition key has no case, so neither has the name in it; its value has, and so have the names in
    kms:EncryptionContextKeys. Of a name in several spellings any value is tried."""
    if not name.startswith("kms:encryptioncontext") or not (action in WITH_CONTEXT or request.anywhere):
        return None
    names = request.texts.text("kms:encryptioncontextkeys", SOMETHING, several=True)
    if name == "kms:encryptioncontextkeys":
        return plain("several", z3.Not(names.is_empty()), names)
    wanted = name.removeprefix("kms:encryptioncontext:")
    if wanted in (name, ""):
        return None
    spelled = (literal(wanted, ignore_case=True),)
    request.also.append(z3.Bool(f"has {name}") == names.matches(spelled))
    return plain("text", names.matches(spelled), request.texts.text(name, ANYTHING))


def key(request, name, action):
    """The key of this name in a request for `action`, or None: there it is never."""
    name = name.lower()
    for table in (of_caller, of_document, of_encryption_context):
        found = table(request, name, action)
        if found:
            return found
    of_services = request.service if not request.anywhere else True
    for table, when in ((OF_PRINCIPALS, request.principal), (OF_SERVICES, of_services), (OF_ALL, True)):
        for kind, names in table.items():
            if name in names:
                return free(request, kind, name, when)
    if name in OF_ACTIONS:
        kind, actions = OF_ACTIONS[name]
        return free(request, kind, name) if action in actions or request.anywhere else None
    if name == "kms:grantoperations" and action == "CreateGrant":
        operations = request.texts.text(name, [literal(operation) for operation in GRANT_OPERATIONS], several=True)
        return plain("several", z3.Not(operations.is_empty()), operations)
    if name.startswith("aws:principaltag/"):
        return free(request, "text", name, request.principal)
    if name.startswith("aws:resourcetag/"):
        return free(request, "text", name)
    if name in ("aws:currenttime", "aws:epochtime"):
        return plain("date", z3.BoolVal(True), request.now)
    constant = {
        "aws:securetransport": "true",
        "aws:requestedregion": request.region,
        "aws:resourceaccount": request.account,
    }.get(name)
    return fixed(request, name, constant) if constant else None
