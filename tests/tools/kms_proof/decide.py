"""Which requests AWS allows, and which of them nobody but the image and the administrators should be able to
make: IAM User Guide, "Policy evaluation logic"; KMS Developer Guide, "Key policies", "Grants", "Permissions
reference"; Organizations User Guide, "Service control policies" and "Resource control policies".
"""

import z3

from conditions import Uncovered
from context import WITH_CONTEXT, key as context_key
from languages import literal
from policies import ACCOUNT_ID, ARN, UNIQUE_ID, Named, Policy, denied_to
from request import ATTESTED, PAST, Request

# Give plaintext, make what the enclave would take for its own, or hand the key to others, and take no document.
NEVER = (
    "CreateGrant", "Decapsulate", "Encrypt", "GenerateMac", "ImportKeyMaterial", "ReEncryptFrom", "ReEncryptTo",
    "ReplicateKey", "Sign",
)
ADMINISTRATION = ("DeleteImportedKeyMaterial", "PutKeyPolicy", "ScheduleKeyDeletion")
# KMS Developer Guide, "Allowing users in other accounts to use a KMS key": these are not for them.
AT_HOME = ("DeleteImportedKeyMaterial", "ImportKeyMaterial", "PutKeyPolicy", "ReplicateKey", "ScheduleKeyDeletion")
ACTIONS = ATTESTED + NEVER + ADMINISTRATION
# IAM's own actions by which one gives oneself what one does not have (IAM User Guide, "Permissions boundaries").
ESCALATION = (
    "iam:AttachGroupPolicy", "iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:CreatePolicyVersion",
    "iam:PutGroupPolicy", "iam:PutRolePolicy", "iam:PutUserPolicy", "iam:SetDefaultPolicyVersion",
    "iam:UpdateAssumeRolePolicy",
)
# KMS Developer Guide, "Key usage": what a key that is for something else refuses, whatever its policy says.
USAGE = {
    "Decrypt": "ENCRYPT_DECRYPT", "Encrypt": "ENCRYPT_DECRYPT", "GenerateDataKey": "ENCRYPT_DECRYPT",
    "GenerateDataKeyPair": "ENCRYPT_DECRYPT", "ReEncryptFrom": "ENCRYPT_DECRYPT", "ReEncryptTo": "ENCRYPT_DECRYPT",
    "Sign": "SIGN_VERIFY", "GenerateMac": "GENERATE_VERIFY_MAC", "DeriveSharedSecret": "KEY_AGREEMENT",
    "Decapsulate": "KEY_ENCAPSULATION",
}
HARMFUL_IN_GRANTS = tuple(a for a in ACTIONS if a not in AT_HOME) + ("GenerateDataKeyPairWithoutPlaintext",)


class Decision:
    """The documents of one case, and the question whether one action is allowed to the wrong ones."""

    def __init__(self, case, key_arn):
        self.case, self.request = case, Request(key_arn)

    # What each document says.

    def key_policy(self, action):
        """What the key policy allows, by the way it names the caller (Policy evaluation logic, "Resource-based
        policies"): a role's name leaves the boundary in force, the others do not; an account's name leaves
        the decision to its IAM policies."""
        request, direct, role, account = self.request, [], [], []
        policy = self.case.key_policy
        for statement in policy.about(action, request.key_arn, "Allow"):
            when = policy.conditions(statement, request, action)
            if "NotPrincipal" in statement:
                direct.append(z3.And(z3.Not(Named(request, statement["NotPrincipal"]).by_own_name()), when))
                continue
            named = Named(request, statement.get("Principal", {}))
            direct.append(z3.And(z3.Or(named.directly + named.services + [z3.BoolVal(named.everyone)]), when))
            role.append(z3.And(z3.Or(named.roles), when))
            account.append(z3.And(z3.Or([request.in_account(a) for a in named.accounts]), when))
        return z3.Or(direct), z3.Or(role), z3.Or(account)

    def identity(self, action):
        """Whether the caller's IAM policies allow it, and whether they deny it. Nothing is known of those
        that were not brought: they may allow anything."""
        request, known, allowed, denied = self.request, [], [], []
        for arn, (policies, boundaries) in self.case.identities.items():
            if arn is None or policies is None:
                continue
            this = request.is_arn(arn)
            known.append(this)
            allowed.append(z3.And(this, self.allows_some(policies, boundaries, action)))
            denied.append(z3.And(this, z3.Or([p.says("Deny", request, action) for p in policies])))
        policies, _ = self.case.identities.get(None, (None, []))
        rest = z3.Not(z3.Or(known))
        if policies is not None:
            at_home = z3.And(rest, request.is_home())
            everyone = z3.Or(z3.Not(request.is_home()), self.allows_some(policies, [], action))
            denied.append(z3.And(at_home, z3.Or([p.says("Deny", request, action) for p in policies])))
            rest = z3.And(rest, everyone)
        return z3.Or(allowed + [rest]), z3.Or(denied)

    def allows_some(self, policies, boundaries, action):
        """Whether these policies allow it, or allow the caller to write himself others."""
        request = self.request
        for step in ESCALATION if self.case.can_escalate else ():
            if any(p.allows_iam(step) for p in policies) and all(b.allows_iam(step) for b in boundaries):
                return z3.BoolVal(True)
        return z3.Or([p.says("Allow", request, action) for p in policies])

    def boundary(self, action):
        """Whether the caller's permissions boundary allows it, and whether it denies it."""
        request, allows, denies = self.request, [], []
        for arn, (_, boundaries) in self.case.identities.items():
            for boundary in boundaries:
                this = z3.BoolVal(True) if arn is None else request.is_arn(arn)
                allows.append(z3.Implies(this, boundary.says("Allow", request, action)))
                denies.append(z3.And(this, boundary.says("Deny", request, action)))
        return z3.And(allows), z3.Or(denies)

    def denied_to(self):
        bounded = [self.request.is_arn(arn) for arn, (_, bounds) in self.case.identities.items() if arn and bounds]
        return denied_to(self.request, z3.Or(bounded))

    def grants(self, action):
        """A grant allows its grantee its operations, whatever the statements' conditions are."""
        request, allowed = self.request, []
        for grant in self.case.grants:
            of_this_key = grant.get("KeyId", request.key_arn) in (request.key_arn, request.key_arn.split("/")[-1])
            if action not in grant["Operations"] or not of_this_key:
                continue
            grantee = grant.get("GranteePrincipal", grant.get("GranteeServicePrincipal"))
            is_service = not any(form.fullmatch(grantee) for form in (ARN, UNIQUE_ID, ACCOUNT_ID))
            who = Named(request, {"Service" if is_service else "AWS": grantee}).anyone()
            allowed.append(z3.And(who, self.constraints(grant.get("Constraints") or {}, action)))
        return z3.Or(allowed)

    def constraints(self, constraints, action):
        """KMS API Reference, GrantConstraints: the names of an encryption context have no case there, the
        values have. The operations that take no encryption context are not bound by it."""
        if action not in WITH_CONTEXT or action == "CreateGrant":
            return z3.BoolVal(True)
        met = []
        for kind, pairs in constraints.items():
            if kind not in ("EncryptionContextEquals", "EncryptionContextSubset"):
                raise Uncovered(f"the constraint {kind}")
            for name, value in pairs.items():
                key = context_key(self.request, f"kms:encryptioncontext:{name}", action)
                met.append(z3.And(key.present, key.value.matches([literal(value)])))
            if kind == "EncryptionContextEquals":
                names = context_key(self.request, "kms:encryptioncontextkeys", action).value
                spelled = [literal(name, ignore_case=True) for name in pairs]
                met.append(names.all_match(spelled) if spelled else names.is_empty())
        return z3.And(met)

    def organisation(self, action):
        """SCPs bind the users, sessions and root users of the key's account, each level for itself; RCPs bind
        who calls for the key. Neither binds service-linked roles."""
        request, case = self.request, self.case
        bound = z3.And(request.is_home(), z3.Not(request.is_service_linked()))
        levels = [
            z3.And(
                z3.Or([p.says("Allow", request, action) for p in level]),
                z3.Not(z3.Or([p.says("Deny", request, action) for p in level])),
            )
            for level in case.scps
        ]
        denied = z3.Or([p.says("Deny", request, action) for p in case.rcps])
        return z3.And(
            z3.Implies(bound, z3.And(levels)),
            z3.Implies(z3.Not(request.is_service_linked()), z3.Not(denied)),
        )

    def endpoint(self, action):
        """The policy of an endpoint binds who comes through it, and nobody else. An endpoint without an id is
        each that the key policy names."""
        request, bound = self.request, []
        for policy, name in self.case.endpoints:
            if self.case.through_endpoint:
                through = z3.BoolVal(True)
            else:
                key = context_key(request, "aws:sourcevpce", action)
                names = [name] if name else self.case.named_endpoints()
                through = z3.And(key.present, key.value.matches([literal(n) for n in names]))
            allowed = policy.says("Allow", request, action, lambda s: Named(request, s.get("Principal", {})).anyone())
            denied = policy.says("Deny", request, action, self.denied_to())
            bound.append(z3.Implies(through, z3.And(allowed, z3.Not(denied))))
        return z3.And(bound)

    # All together.

    def allowed(self, action):
        request = self.request
        direct, role, account = self.key_policy(action)
        by_iam, denied_by_iam = self.identity(action)
        in_boundary, denied_by_boundary = self.boundary(action)
        home, root = request.is_home(), request.kind("root")
        # Elsewhere, IAM has to allow it, too; at home only what the account's name leaves to it. AWS writes
        # the policies of service-linked roles: it is taken that they reach no key by IAM alone.
        abroad = z3.Implies(z3.And(request.principal, z3.Not(home)), z3.Or(root, z3.And(by_iam, in_boundary)))
        by_account = z3.And(account, z3.Or(root, z3.And(by_iam, in_boundary, z3.Not(request.is_service_linked()))))
        allow = z3.Or(z3.And(direct, abroad), z3.And(role, in_boundary, abroad), by_account, self.grants(action))
        deny = z3.Or(
            self.case.key_policy.says("Deny", request, action, self.denied_to()), denied_by_iam, denied_by_boundary,
        )
        across = z3.BoolVal(True) if action not in AT_HOME else z3.Or(z3.Not(request.principal), home)
        return z3.And(allow, z3.Not(deny), across, self.organisation(action), self.endpoint(action))

    def wrong(self, action):
        """Who should not be able to make such a request."""
        request, case = self.request, self.case
        if action in ATTESTED:
            return z3.Not(request.is_ours(case.images))
        if action in ADMINISTRATION:
            return z3.Not(z3.Or([request.is_arn(admin) for admin in case.admins]))
        if action == "Encrypt":
            return z3.Not(z3.Or([request.is_arn(encrypter) for encrypter in case.encrypters]))
        if action == "CreateGrant":
            # A grant that a service makes for its own resource is told apart (a finding of its own).
            service = context_key(request, "kms:grantisforawsresource", action)
            operations = context_key(request, "kms:grantoperations", action).value
            return z3.And(
                z3.Not(z3.And(service.present, service.value.matches([literal("true")]))),
                operations.matches([literal(operation) for operation in HARMFUL_IN_GRANTS]),
            )
        return z3.BoolVal(True)

    def widened(self):
        """Whether something was tried that AWS would not do, so that what is found may be no request."""
        return self.request.widened or any(policy.widened for policy in self.case.all_policies())

    def find(self, actions=ACTIONS):
        """A wrong request that is allowed, for each action that has one: (action, request)."""
        actions = [action for action in actions if self.case.usage in (None, USAGE.get(action, self.case.usage))]
        asked = [(action, z3.And(self.allowed(action), self.wrong(action))) for action in actions]
        solver = z3.Solver()
        solver.set("timeout", 20_000)
        solver.add(self.request.now >= PAST)
        solver.add(*self.request.axioms(self.case.images))
        for action, formula in asked:
            solver.push()
            solver.add(formula)
            answer = solver.check()
            if answer == z3.unknown:
                raise Uncovered(f"z3 gave up on {action}: {solver.reason_unknown()}")
            if answer == z3.sat:
                yield action, self.request.describe(solver.model())
            solver.pop()
