"""The request that is looked for: who calls, with which document, in which context.

Everything that AWS lets a caller choose is free; what follows from something else is tied to it. Where
AWS's pages leave open whether a key is in the context, both are tried.
"""

import z3

from languages import glob, literal, many, one
from texts import Texts

DIGITS = frozenset("0123456789")
HEX = frozenset("0123456789abcdef")
NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-")
ACCOUNT = (one(DIGITS),) * 12
ANYTHING = ((many(),),)
SOMETHING = ((one(), many()),)
REGISTER = ((one(HEX),) * 96,)

# IAM User Guide, "IAM and AWS STS quotas" and "IAM identifiers": names of users, roles and sessions, and paths.
PATH = (many(NAME | {"/"}), one(NAME), many(NAME))
SESSION = ((one(NAME), many(NAME)),)
SERVICE = ((one(), many()) + literal(".amazonaws.com"),)

# KMS Developer Guide, "Condition keys for attested platforms": the operations with a Recipient, of those that
# need the key.
ATTESTED = ("Decrypt", "DeriveSharedSecret", "GenerateDataKey", "GenerateDataKeyPair")

# 2025-01-01: before it nobody can call any more.
PAST = 1_735_689_600


class Request:
    """The variables of one request to one key."""

    def __init__(self, key_arn):
        self.texts = Texts()
        self.key_arn = key_arn
        # Whether both outcomes were tried of a comparison that AWS decides.
        self.widened = False
        _, self.partition, _, self.region, self.account, _ = key_arn.split(":", 5)
        self.principal, self.service, self.anonymous = (z3.Bool(n) for n in ("principal", "service", "anonymous"))
        iam, sts = literal(f"arn:{self.partition}:iam::"), literal(f"arn:{self.partition}:sts::")
        self.prefixes = (iam, sts)
        # The role's ARN of a session: a role calls only by its sessions (aws:PrincipalArn).
        self.arn = self.texts.text(
            "arn",
            [
                iam + ACCOUNT + literal(":user/") + PATH,
                iam + ACCOUNT + literal(":role/") + PATH,
                iam + ACCOUNT + literal(":root"),
                sts + ACCOUNT + literal(":federated-user/") + PATH,
            ],
        )
        self.session = self.texts.text("session", SESSION)
        self.service_name = self.texts.text("service_name", SERVICE)
        self.enclave_document, self.tpm_document = z3.Bools("enclave_document tpm_document")
        # Seconds since 1970; nobody calls in the past.
        self.now = z3.Real("now")
        # What context keys say of each other.
        self.also = []
        # Whether keys are taken to be in every request, as some examples of AWS have them for brevity.
        self.anywhere = False

    # Who calls.

    def caller(self, *alternatives):
        return z3.And(self.principal, self.arn.matches(alternatives))

    def kind(self, name):
        """Users, role sessions and federated users by their ARN; `root` of any account."""
        prefix = self.prefixes[1] if name == "federated-user" else self.prefixes[0]
        tail = literal(":root") if name == "root" else literal(f":{name}/") + (many(),)
        return self.caller(prefix + ACCOUNT + tail)

    def in_account(self, pattern):
        return self.caller(*self.of_account(glob(pattern, DIGITS)))

    def of_account(self, tokens):
        return [prefix + tokens + literal(":") + (many(),) for prefix in self.prefixes]

    def is_arn(self, arn):
        """A user, role, root user or federated user of exactly this ARN; of a role, each of its sessions."""
        return self.caller(literal(arn))

    def is_session(self, account, role, session):
        """A role's session by its ARN, which does not tell the role's path."""
        base = self.prefixes[0] + literal(account) + literal(":role/")
        return z3.And(
            self.caller(base + literal(role), base + (many(),) + literal("/" + role)),
            self.session.matches([literal(session)]),
        )

    def is_home(self):
        return self.in_account(self.account)

    def is_service_linked(self):
        return self.caller(self.prefixes[0] + ACCOUNT + literal(":role/aws-service-role/") + (many(),))

    # With which document.

    def register(self, number):
        return self.texts.text(f"PCR{number}", REGISTER)

    def tpm_register(self, number):
        return self.texts.text(f"NitroTPMPCR{number}", REGISTER)

    def extended(self, number):
        """Whether the document has a register that the enclave extends itself."""
        return z3.Bool(f"extended{number}")

    def has(self, registers):
        """The document's registers are these, written in lower case as KMS does."""
        equal = []
        for name, value in registers.items():
            text = self.tpm_register(int(name[3:])) if name.startswith("tpm") else self.register(int(name))
            equal.append(text.matches([literal(value.lower())]))
            if name.isdigit() and int(name) > 15:
                equal.append(self.extended(int(name)))
        return z3.And(equal)

    def is_ours(self, images):
        """The document is of one of these images. PCR0 is the digest of the whole image; PCR1 and PCR2
        together are, too; PCR3 and PCR4 say where it runs, PCR8 who signed it. A register that the enclave
        extends itself counts beside one of these, never alone. Of an attestable machine, PCR4 of the
        NitroTPM is the digest of everything that it boots (EC2 User Guide, "NitroTPM Attestation Document
        contents"), but of the command line: that is in PCR12, or fixed where PCR7 demands a signature."""
        of = []
        for image in images:
            own = {n: v for n, v in image.items() if n.isdigit() and int(n) > 15}
            if "0" in image:
                of.append(z3.And(self.enclave_document, self.has({"0": image["0"], **own})))
            elif "1" in image and "2" in image:
                of.append(z3.And(self.enclave_document, self.has({"1": image["1"], "2": image["2"], **own})))
            elif "tpm4" in image and ("tpm7" in image or "tpm12" in image):
                of.append(z3.And(self.tpm_document, self.has({n: v for n, v in image.items() if n[:3] == "tpm"})))
        return z3.Or(of)

    def axioms(self, images):
        yield z3.PbEq([(kind, 1) for kind in (self.principal, self.service, self.anonymous)], 1)
        yield z3.Not(z3.And(self.enclave_document, self.tpm_document))
        for image in images:
            # PCR0 is a digest of what PCR1 and PCR2 are digests of: who has one has the others.
            if {"0", "1", "2"} <= set(image):
                whole, parts = self.has({"0": image["0"]}), self.has({"1": image["1"], "2": image["2"]})
                yield z3.Implies(self.enclave_document, whole == parts)
        yield from self.also
        yield from self.texts.axioms()

    def describe(self, model):
        """The request in words and values, of the texts that it needs."""
        def true(formula):
            return z3.is_true(model.eval(formula, model_completion=True))

        if true(self.service):
            caller = self.service_name.value(model)
        elif true(self.anonymous):
            caller = "anonymous"
        else:
            caller = self.arn.value(model)
            if ":role/" in caller:
                caller += " in session " + self.session.value(model)
        document = "enclave" if true(self.enclave_document) else "NitroTPM" if true(self.tpm_document) else "none"
        rest = {}
        for name, text in self.texts.all.items():
            if text in (self.arn, self.session, self.service_name):
                continue
            is_register = name.startswith(("PCR", "NitroTPMPCR"))
            if is_register and not (name.startswith("PCR") if document == "enclave" else document == "NitroTPM"):
                continue
            if not is_register and not text.several and not true(z3.Bool(f"has {name}")):
                continue
            rest[name] = text.value(model)
        return {"caller": caller, "document": document, "texts": rest}
