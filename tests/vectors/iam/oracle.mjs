// What npm @cloud-copilot/iam-simulate 0.1.173 says to a request, in the format of these vectors.
//
// Its own entry, runSimulation, drops context keys that its list of AWS's keys does not know for
// an action, without an error: a condition on them then sees a missing key. So its engine is asked
// directly, after its own validation of every policy; `publicOutcome` asks the entry, to compare.

import path from "node:path";
import { pathToFileURL } from "node:url";

const outcomes = { Allowed: "allow", ExplicitlyDenied: "deny", ImplicitlyDenied: "implicit-deny" };
const allowAll = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal: "*", Action: "*", Resource: "*" }] };

/** The context of a request: what follows from the caller, and what the case says. */
export function context(request) {
    if (request.service) return { ...request.context };
    const [, , service, , account, resource] = request.caller.split(":");
    const role = request.role_arn ?? `arn:aws:iam::${account}:role/${resource.split("/")[1]}`;
    return {
        "aws:PrincipalArn": service === "sts" ? role : request.caller,
        "aws:PrincipalAccount": account,
        "aws:PrincipalType": resource === "root" ? "Account" : resource.startsWith("user/") ? "User" : "AssumedRole",
        "kms:CallerAccount": account,
        ...(resource.startsWith("user/") ? { "aws:username": resource.split("/").at(-1) } : {}),
        ...request.context,
    };
}

/** Loads the package from `folder`, which holds node_modules. */
export async function load(folder) {
    const modules = path.join(path.resolve(folder), "node_modules/@cloud-copilot");
    const file = (name) => import(pathToFileURL(path.join(modules, name)));
    const simulate = await file("iam-simulate/dist/esm/index.js");
    const { authorize } = await file("iam-simulate/dist/esm/core_engine/CoreSimulatorEngine.js");
    const { AwsRequestImpl } = await file("iam-simulate/dist/esm/request/request.js");
    const { RequestContextImpl } = await file("iam-simulate/dist/esm/requestContext.js");
    const { DiscoveryContextKeyConstraints } = await file("iam-simulate/dist/esm/context_keys/discoveryContextKeyConstraints.js");
    const language = await file("iam-policy/dist/esm/index.js");

    const invalid = (policies, validate) =>
        policies.filter(Boolean).flatMap((policy) => validate(policy)).map(({ message, path }) => `${path}: ${message}`);

    /** What is wrong with the policies of a case; empty when they are valid. */
    function errors(test) {
        return [
            ...invalid([test.key_policy], language.validateResourcePolicy),
            ...invalid([test.endpoint_policy], language.validateEndpointPolicy),
            ...invalid(test.identity_policies ?? [], language.validateIdentityPolicy),
            ...invalid(test.boundaries ?? [], language.validateIdentityPolicy),
            ...invalid(test.session_policies ?? [], language.validateSessionPolicy),
            ...invalid((test.scps ?? []).flat(), language.validateServiceControlPolicy),
            ...invalid(test.rcps ?? [], language.validateResourceControlPolicy),
        ];
    }

    const read = (policies) => policies.map((policy, index) => language.loadPolicy(policy, { name: `${index}` }));
    const levels = (list) => list.map((policies, index) => ({ orgIdentifier: `ou-${index}`, policies: read(policies) }));
    const some = (policies) => (policies?.length ? read(policies) : undefined);

    function outcome(test, request) {
        const resource = { resource: request.resource ?? test.key, accountId: test.key.split(":")[4] };
        const values = new RequestContextImpl(context(request));
        const { result } = authorize({
            request: new AwsRequestImpl(request.service ?? request.caller, resource, request.action, values),
            sessionPolicy: some(test.session_policies)?.[0],
            identityPolicies: read(test.identity_policies ?? []),
            serviceControlPolicies: levels(test.scps ?? []),
            resourceControlPolicies: levels(test.rcps?.length ? [[allowAll, ...test.rcps]] : []),
            resourcePolicy: test.key_policy ? language.loadPolicy(test.key_policy, { name: "key" }) : undefined,
            permissionBoundaries: some(test.boundaries),
            vpcEndpointPolicies: some(test.endpoint_policy ? [test.endpoint_policy] : []),
            simulationParameters: {
                simulationMode: "Strict",
                discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]),
            },
            serviceSettings: { s3: {} },
        });
        return outcomes[result];
    }

    /** The same through the package's entry; null when it does not know a context key. */
    async function publicOutcome(test, request) {
        const named = (policies) => (policies ?? []).map((policy, index) => ({ name: `${index}`, policy }));
        const units = (list) => (list ?? []).map((policies, index) => ({ orgIdentifier: `ou-${index}`, policies: named(policies) }));
        const answer = await simulate.runSimulation({
            request: {
                principal: request.service ?? request.caller,
                action: request.action,
                resource: { resource: request.resource ?? test.key, accountId: test.key.split(":")[4] },
                contextVariables: context(request),
            },
            sessionPolicy: test.session_policies?.[0],
            identityPolicies: named(test.identity_policies),
            serviceControlPolicies: units(test.scps),
            resourceControlPolicies: units(test.rcps?.length ? [test.rcps] : []),
            resourcePolicy: test.key_policy,
            permissionBoundaryPolicies: test.boundaries?.length ? named(test.boundaries) : undefined,
            vpcEndpointPolicies: test.endpoint_policy ? named([test.endpoint_policy]) : undefined,
        }, {});
        if (answer.resultType !== "single") return { error: answer.errors };
        return { outcome: outcomes[answer.overallResult], ignored: answer.result.ignoredContextKeys };
    }

    return { errors, outcome, publicOutcome };
}
