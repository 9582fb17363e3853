// Random small cases: few names and few values, so that statements meet, overlap and contradict.
// Deterministic: the same seed gives the same cases. What is left out, and why, is in README.md.

import { context } from "./oracle.mjs";

const A = "111122223333";
const B = "444455556666";
export const KEY = `arn:aws:kms:us-west-2:${A}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
const PCR = ["a1".repeat(48), "b2".repeat(48), "00".repeat(48)];

/** mulberry32 */
export function generator(seed) {
    let state = seed >>> 0;
    const next = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = Math.imul(state ^ (state >>> 15), state | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    const below = (n) => Math.floor(next() * n);
    const pick = (list) => list[below(list.length)];
    const chance = (p) => next() < p;
    const some = (list, most) => {
        const rest = [...list];
        return Array.from({ length: 1 + below(most) }, () => rest.splice(below(rest.length), 1)[0]);
    };
    return { below, pick, chance, some };
}

const arn = (account, rest) => `arn:aws:iam::${account}:${rest}`;
const session = (account, role, name) => `arn:aws:sts::${account}:assumed-role/${role}/${name}`;
const users = [arn(A, "user/alice"), arn(A, "user/Alice"), arn(A, "user/bob"), arn(B, "user/carol")];
const roles = [arn(A, "role/team/R"), arn(A, "role/S"), arn(B, "role/T")];
const sessions = [session(A, "R", "s1"), session(A, "R", "s2"), session(A, "S", "s1"), session(B, "T", "s1")];
const roleOf = { R: roles[0], S: roles[1], T: roles[2] };
const accounts = [arn(A, "root"), A, arn(B, "root"), B];
export const services = ["logs.amazonaws.com", "cloudtrail.amazonaws.com"];

// Those that also work across accounts, so that no rule of KMS outside of the policies decides.
const actions = ["kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt", "kms:CreateGrant", "kms:DescribeKey"];
const actionPatterns = [
    "kms:*", "*", "kms:Decrypt", "KMS:decrypt", "kms:GenerateDataKey", "kms:GenerateDataKey*", "kms:*crypt", "kms:?ecrypt",
    "kms:Encrypt", "kms:CreateGrant", "kms:Create*", "kms:Describe*", "kms:De*", "kms:DecryptX", "kms:*Key", "s3:*",
];
const resourcePatterns = [
    "*", KEY, `arn:aws:kms:*:${A}:key/*`, "arn:aws:kms:us-west-2:*:key/1234abcd-*", `arn:aws:kms:us-east-1:${A}:key/*`, "arn:aws:kms:*:*:key/*",
    `arn:aws:kms:us-west-2:${B}:key/*`, `arn:aws:kms:us-west-?:${A}:key/*ab`, `arn:aws:kms:us-west-2:${A}:key/1234ABCD-*`, `arn:aws:kms:us-west-2:${A}:alias/*`,
];
const variableResource = `arn:aws:kms:us-west-2:${A}:key/\${aws:PrincipalTag/key}`;

const texts = ["a", "A", "ab", "abb", "b"];
const likes = ["a", "a*", "a?", "*b", "?", "*", "A*", "a*b"];
const variables = ["${aws:PrincipalTag/team}", "${aws:PrincipalTag/TEAM}", "${aws:PrincipalTag/team, 'a'}", "${aws:username, 'ab'}"];
const arns = ["arn:aws:sns:us-west-2:111122223333:topic", "arn:aws:sns:us-east-1:111122223333:topic", "arn:aws:s3:::b/a:x/c", "arn:aws:sns:us-west-2:111122223333:b:topic"];
const arnPatterns = [...arns, "arn:aws:sns:*:111122223333:topic", "arn:aws:s*:*:*:*", "arn:*:sns:us-west-?:*:t*", "arn:aws:sns:us-west-2:*:topic", "arn:aws:s3:::b/*"];
const principalPatterns = [...users, ...roles, arn(A, "role/*"), arn("*", "user/?lice"), arn(B, "*")];
const encoded = ["QQ==", "YQ==", "YWI="];
const numbers = ["7", "7.0", "7.5", "8", "-1", "10", "100"];
const dates = ["2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z", "2023-12-31T23:59:59Z", "2024-01-01T01:00:00+01:00"];
const epochs = ["1704067200", "1704067201", "1704067199"];
const addresses = ["203.0.113.7", "203.0.113.200", "198.51.100.1", "2001:db8::1", "2001:db8:0:1::2"];
const ranges = ["203.0.113.0/24", "203.0.113.128/25", "198.51.100.1/32", "2001:db8::/64", "2001:DB8::/32", "2001:db8::1/128", "128.0.0.0/1"];

const equality = { StringEquals: texts, StringNotEquals: texts, StringEqualsIgnoreCase: texts, StringNotEqualsIgnoreCase: texts };
const likeness = { StringLike: [...likes, "a${*}", "${?}"], StringNotLike: likes };
const text = { values: [...texts, "a*"], operators: { ...equality, ...likeness }, variables };
const attested = {
    values: [...PCR, PCR[0].toUpperCase()],
    operators: {
        StringEquals: PCR, StringNotEquals: PCR, StringEqualsIgnoreCase: [...PCR, PCR[1].toUpperCase()],
        StringNotEqualsIgnoreCase: [...PCR, PCR[0].toUpperCase()], StringLike: ["a1*", "*", "?".repeat(96)], StringNotLike: ["a1*", "00*"],
    },
};
const ordered = (prefix, values) =>
    Object.fromEntries(["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"].map((name) => [prefix + name, values]));
const named = (values, patterns) => ({
    values,
    operators: { ArnEquals: patterns, ArnLike: patterns, ArnNotEquals: patterns, ArnNotLike: patterns, StringLike: patterns, StringEquals: values },
});
const number = { values: numbers, operators: ordered("Numeric", numbers) };
const instant = { values: dates, operators: ordered("Date", dates) };
const truth = { values: ["true", "false"], operators: { Bool: ["true", "false", "True", true, false] } };
const account = { derived: true, operators: { StringEquals: [A, B], StringNotEquals: [A, B], StringLike: ["1111*", "4444?5556666"] } };

/** Context keys: the values a request may have, and the operators with the values a policy may have. */
const keys = {
    "aws:PrincipalTag/team": text,
    "aws:ResourceTag/team": text,
    "kms:EncryptionContext:app": text,
    "kms:EncryptionContext:stage": text,
    "kms:ViaService": text,
    "kms:EncryptionContextKeys": { ...text, many: true },
    "kms:ResourceAliases": { ...text, many: true },
    "aws:TagKeys": { ...text, many: true },
    "kms:RecipientAttestation:PCR0": attested,
    "kms:RecipientAttestation:PCR8": attested,
    "kms:RecipientAttestation:ImageSha384": attested,
    "aws:SourceArn": named(arns, arnPatterns),
    "aws:PrincipalArn": { ...named(principalPatterns, principalPatterns), derived: true },
    "aws:PrincipalAccount": account,
    "kms:CallerAccount": account,
    "aws:SourceIp": { values: addresses, operators: { IpAddress: [...ranges, ...addresses], NotIpAddress: ranges } },
    "aws:MultiFactorAuthAge": number,
    "kms:ScheduleKeyDeletionPendingWindowInDays": number,
    "aws:CurrentTime": instant,
    "aws:TokenIssueTime": instant,
    "aws:EpochTime": { values: epochs, operators: ordered("Date", epochs) },
    "aws:SecureTransport": truth,
    "kms:GrantIsForAWSResource": truth,
    "aws:PrincipalTag/binary": { values: encoded, operators: { BinaryEquals: encoded } },
};

const one = (r, list) => (list.length === 1 && r.chance(0.7) ? list[0] : list);
const negated = (operator) => /Not/.test(operator);

function conditions(r, version) {
    const all = {};
    for (const name of r.some(Object.keys(keys), 2)) {
        const key = keys[name];
        const written = r.chance(0.1) ? name.toUpperCase().replace("AWS:", "aws:") : name;
        if (r.chance(0.12)) {
            (all.Null ??= {})[written] = r.pick(["true", "false", true, false]);
            continue;
        }
        const base = r.pick(Object.keys(key.operators));
        const values = r.some(key.operators[base], 2);
        if (version && key.variables && r.chance(0.3)) values[0] = r.pick(key.variables);
        const set = key.many || (r.chance(0.06) && !name.startsWith("kms:EncryptionContext:")) ? r.pick(["ForAllValues:", "ForAnyValue:"]) : "";
        const exists = set !== "ForAnyValue:" && r.chance(0.15) ? "IfExists" : "";
        (all[set + base + exists] ??= {})[written] = one(r, values);
    }
    return all;
}

function statement(r, kind, version) {
    const effect = kind === "rcp" || r.chance(0.35) ? "Deny" : "Allow";
    const result = { Effect: effect };
    if (kind === "rcp" || kind === "endpoint") result.Principal = "*";
    if (kind === "key" || kind === "keyOfLimited") {
        const names = [...users, ...roles, ...sessions, ...accounts];
        // A session policy does not limit what is given to a session or to all; the oracle thinks it does.
        const allowed = kind === "keyOfLimited" && effect === "Allow" ? [...users, ...roles, ...accounts] : names;
        if (effect === "Deny" && r.chance(0.2)) {
            const caller = r.pick([...users, ...roles, ...sessions]);
            result.NotPrincipal = { AWS: r.chance(0.7) ? chain({ caller, role_arn: pathOf(caller) }) : r.some(names, 3) };
        } else if (allowed === names && r.chance(0.2)) {
            result.Principal = r.pick(["*", { AWS: "*" }]);
        } else if (r.chance(0.1)) {
            result.Principal = { Service: one(r, r.some(services, 2)) };
        } else {
            result.Principal = { AWS: one(r, r.chance(0.35) ? [r.pick(accounts.slice(0, 3))] : r.some(allowed, 4)) };
        }
    }
    const known = kind === "rcp" ? actionPatterns.filter((pattern) => pattern !== "*") : actionPatterns;
    const chosen = one(r, r.chance(0.5) ? [r.pick(["kms:*", "kms:Decrypt", "kms:*crypt"])] : r.some(known, 3));
    result[kind !== "rcp" && r.chance(0.12) ? "NotAction" : "Action"] = chosen;
    if (r.chance(0.1)) result.NotResource = one(r, r.some(resourcePatterns.slice(1), 2));
    else if (kind === "identity" && version && r.chance(0.08)) result.Resource = variableResource;
    else result.Resource = r.chance(0.7) ? "*" : one(r, r.some(resourcePatterns, 2));
    if (r.chance(effect === "Deny" ? 0.85 : 0.5)) result.Condition = conditions(r, version);
    return result;
}

function policy(r, kind, most) {
    // Versions before 2012 have no variables, which the oracle does not know.
    const version = !(kind === "key" || kind === "identity") || !r.chance(0.08);
    return { Version: version ? "2012-10-17" : "2008-10-17", Statement: Array.from({ length: 1 + r.below(most) }, () => statement(r, kind, version)) };
}

const full = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };
const pathOf = (caller) => (caller.includes(":assumed-role/") ? roleOf[caller.split("/")[1]] : undefined);

/** The account, the role or user and the session of a caller, as a statement would name them. */
export function chain({ caller, role_arn }) {
    return [arn(caller.split(":")[4], "root"), ...(role_arn ? [role_arn] : []), caller];
}

/** The conditions of a case's policies, as [operator, key, values, statement]. */
export function* conditionsOf(test) {
    const policies = [test.key_policy, test.endpoint_policy, ...(test.identity_policies ?? []), ...(test.boundaries ?? []),
        ...(test.session_policies ?? []), ...(test.scps ?? []).flat(), ...(test.rcps ?? [])];
    for (const policy of policies.filter(Boolean)) {
        for (const entry of policy.Statement) {
            for (const [operator, block] of Object.entries(entry.Condition ?? {})) {
                for (const [key, values] of Object.entries(block)) yield [operator, key, [values].flat(), entry];
            }
        }
    }
}

/** Policies that may apply together; who calls decides which kinds there are. */
export function documents(r) {
    const kind = r.pick(["user", "user", "role", "session", "session", "session", "service"]);
    const limited = kind === "session" && r.chance(0.25);
    const test = { key_policy: policy(r, limited ? "keyOfLimited" : "key", 3) };
    if (kind === "service") {
        if (r.chance(0.3)) test.rcps = [policy(r, "rcp", 2)];
        return { test, kind };
    }
    if (r.chance(0.35)) test.key_policy.Statement.push({ Effect: "Allow", Principal: { AWS: accounts[r.below(2)] }, Action: "kms:*", Resource: "*" });
    if (r.chance(0.75)) test.identity_policies = Array.from({ length: 1 + r.below(2) }, () => (r.chance(0.35) ? full : policy(r, "identity", 2)));
    if (r.chance(0.2)) test.boundaries = [policy(r, "identity", 2)];
    if (limited) test.session_policies = [policy(r, "identity", 2)];
    if (r.chance(0.2)) {
        test.scps = Array.from({ length: 1 + r.below(3) }, () => (r.chance(0.4) ? [full] : [policy(r, "scp", 2), ...(r.chance(0.5) ? [full] : [])]));
    }
    if (r.chance(0.12)) test.rcps = [policy(r, "rcp", 2)];
    if (r.chance(0.12)) test.endpoint_policy = policy(r, "endpoint", 3);
    return { test, kind };
}

/** A request whose context leans to what the policies ask for. */
export function request(r, test, kind) {
    const result = {};
    if (kind === "service") result.service = r.pick(services);
    else result.caller = r.pick({ user: users, role: roles, session: sessions }[kind]);
    const role = kind === "session" ? pathOf(result.caller) : undefined;
    if (role) result.role_arn = role;
    result.action = r.chance(0.5) ? "kms:Decrypt" : r.pick(actions);
    const context = {};
    const wanted = new Map([...conditionsOf(test)].map(([, key, values]) => [Object.keys(keys).find((name) => name.toLowerCase() === key.toLowerCase()), values]));
    if (r.chance(0.5)) wanted.set("aws:PrincipalTag/team", texts);
    for (const [name, values] of wanted) {
        const key = keys[name];
        if (key.derived || r.chance(0.22) || (kind === "service" && name.startsWith("aws:Principal"))) continue;
        const fitting = values.filter((value) => key.values.includes(value));
        const value = () => (fitting.length && r.chance(0.5) ? r.pick(fitting) : r.pick(key.values));
        context[name] = key.many ? [...new Set(Array.from({ length: 1 + r.below(2) }, value))] : value();
    }
    if (kind !== "service" && r.chance(0.5) && JSON.stringify(test).includes("PrincipalTag/key")) context["aws:PrincipalTag/key"] = KEY.split("/")[1];
    return Object.keys(context).length ? { ...result, context } : result;
}

/** Why the oracle's answer to a request is no measure; undefined when it is. */
export function unsound(test, request) {
    for (const { Effect, Principal, NotPrincipal } of test.key_policy.Statement) {
        if (NotPrincipal && request.service) return "a service and NotPrincipal";
        if (NotPrincipal && !test.boundaries) {
            const listed = chain(request).filter((name) => NotPrincipal.AWS.includes(name) || NotPrincipal.AWS.includes(name.split(":")[4]) && name.endsWith(":root"));
            if (listed.length && listed.length < chain(request).length) return "NotPrincipal names a part of the caller";
        }
        if (request.service && Effect === "Allow" && (Principal === "*" || Principal?.AWS === "*")) return "all principals and a service";
    }
    const present = new Set(Object.keys(context(request)).map((key) => key.toLowerCase()));
    for (const [operator, key, values] of conditionsOf(test)) {
        if (request.service && /^aws:principal|^kms:calleraccount/i.test(key)) return "a service has no principal keys";
        for (const value of values) {
            const variable = /\$\{([A-Za-z][^,}]*)\}/.exec(value)?.[1];
            if (negated(operator) && variable && !present.has(variable.toLowerCase())) return "a negated operator and a variable without value";
        }
    }
    return undefined;
}
