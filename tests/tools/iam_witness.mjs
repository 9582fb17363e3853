// Asks npm @cloud-copilot/iam-simulate whether AWS would allow the requests that the auditor of key policies
// shows as witnesses.
//
//     iam_witness.mjs FOLDER < ASKED
//
// FOLDER holds node_modules. ASKED is a list of {key_policy, identities, scps, rcps, endpoint_policy, witness}:
// the documents of a case, and a finding's `witness`. Printed is, for each, a line {outcome, invalid}: allow,
// deny or implicit-deny, and what that program finds wrong with the documents.

import { readFileSync } from "node:fs";

import { load } from "../vectors/iam/oracle.mjs";

const simulator = await load(process.argv[2]);
const everything = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };

/**
 * The ARN of the user or role of a caller. That of a session does not tell the role's path: it is in the context,
 * or in the statement that names the role.
 */
function identity(caller, context, policy) {
    const [, partition, service, , account, resource] = caller.split(":");
    if (service !== "sts" || !resource.startsWith("assumed-role/")) return caller;
    const prefix = `arn:${partition}:iam::${account}:role/`;
    const name = resource.split("/")[1];
    const named = JSON.stringify(policy).match(new RegExp(`${prefix}[\\w+=,.@/-]+`, "g")) ?? [];
    const ofThisName = named.filter((arn) => arn.split("/").at(-1) === name);
    return context["aws:PrincipalArn"] ?? ofThisName[0] ?? `${prefix}${name}`;
}

/** Keys of one value are texts, the others lists. ImageSha384 is PCR0 by another name, and a document has both. */
function context(witness) {
    const several = /^(kms:encryptioncontextkeys|kms:grantoperations|kms:resourcealiases|aws:calledvia|aws:.*orgpaths)$/i;
    const values = Object.fromEntries(
        Object.entries(witness.context).map(([name, values]) => {
            const list = [values].flat();
            return [name, several.test(name) ? list : list[0]];
        }),
    );
    const prefix = "kms:RecipientAttestation:";
    return { ...(`${prefix}PCR0` in values ? { [`${prefix}ImageSha384`]: values[`${prefix}PCR0`] } : {}), ...values };
}

function lowered(values) {
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value]));
}

/**
 * What the caller's IAM policies allow: those that were brought, and, where none were, what the auditor takes
 * them to allow. A root user is bound by none, but that program gives him nothing without one.
 */
function identityPolicies(known, witness) {
    if (known.policies) return known.policies;
    return witness.needs_iam || witness.caller.endsWith(":root") ? [everything] : [];
}

/** Whether the organisation of the key's account binds the caller with its SCPs: not others, not services. */
function isBound(arn, key) {
    return arn?.split(":")[4] === key.split(":")[4] && !isServiceLinked(arn);
}

/** Service-linked roles are bound by no SCP and no RCP. */
function isServiceLinked(arn) {
    return arn?.includes(":role/aws-service-role/") ?? false;
}

for (const asked of JSON.parse(readFileSync(0, "utf8"))) {
    const { witness } = asked;
    const values = context(witness);
    const isService = !witness.caller.startsWith("arn:");
    const arn = isService ? undefined : identity(witness.caller, values, asked.key_policy);
    const known = asked.identities?.[arn] ?? {};
    const test = {
        key: witness.resource,
        key_policy: asked.key_policy,
        identity_policies: identityPolicies(known, witness),
        boundaries: known.boundaries,
        scps: isBound(arn, witness.resource) ? asked.scps : [],
        rcps: isServiceLinked(arn) ? [] : asked.rcps,
        // An endpoint's policy binds who comes through it.
        endpoint_policy: "aws:sourcevpce" in lowered(values) ? asked.endpoint_policy : undefined,
    };
    const request = {
        ...(isService ? { service: witness.caller } : { caller: witness.caller, role_arn: arn }),
        action: witness.action,
        resource: witness.resource,
        context: values,
    };
    let line;
    try {
        line = { outcome: simulator.outcome(test, request), invalid: simulator.errors(test) };
    } catch (error) {
        line = { outcome: "error", invalid: [String(error)] };
    }
    console.log(JSON.stringify(line));
}
