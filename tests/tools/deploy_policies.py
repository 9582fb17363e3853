#!/usr/bin/env python3
"""Resolves the policies of deploy/cloudformation with sample parameters, and checks them.

    deploy_policies.py --write | --check

Reads the templates with cfn-lint's own decoder (PyPI, cfn-lint; the version is in deploy.sh). The key
policies go to tests/vectors/deploy, where kms-policies/tests/deployed.rs judges them with the
evaluator of this project and compares them with the templates of kms-policies; --check says whether
they are still those of the template. The store's policy and the role's are judged here: every call
that the parent makes must pass, and everything else that matters must not.
"""

import fnmatch
import json
import pathlib
import sys

from cfnlint.decode import cfn_yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CUSTODY = ROOT / "deploy/cloudformation/custody.yaml"
WATCH = ROOT / "deploy/cloudformation/watch.yaml"
NODE = ROOT / "deploy/cloudformation/node.yaml"
RECOVERY = ROOT / "deploy/cloudformation/recovery.yaml"
VECTORS = ROOT / "tests/vectors/deploy"

ACCOUNT = "000000000000"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/operator"
PARENT = f"arn:aws:iam::{ACCOUNT}:role/cofferdam-laptop-parent"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
OTHER_KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/66666666-7777-8888-9999-000000000000"
STORE = "arn:aws:s3:::store"
ATTRIBUTES = {
    "ParentRole.Arn": PARENT,
    "Key.Arn": KEY,
    "Store.Arn": STORE,
    "ReplicationRole.Arn": f"arn:aws:iam::{ACCOUNT}:role/cofferdam-laptop-replication",
    "ParentLog.Arn": f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:parent:*",
}
PARAMETERS = {
    "Deployment": "laptop",
    "AdminRole": "operator",
    "RetentionDays": "400",
    "Pcr0": "",
    "Pcr1": "",
    "Pcr2": "",
}
IMAGES = [["a0" * 48, "a1" * 48, "a2" * 48], ["b0" * 48, "b1" * 48, "b2" * 48]]
NOTHING = object()


class Template:
    """A template and values for its parameters. A function that is unknown here is an error."""

    def __init__(self, path, values):
        self.body = plain(cfn_yaml.load(str(path)))
        self.values = {}
        for name, parameter in self.body["Parameters"].items():
            value = values.get(name, parameter.get("Default"))
            if value is not None:
                many = parameter["Type"] == "CommaDelimitedList"
                self.values[name] = value.split(",") if many else str(value)
        self.values |= {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": "eu-central-1"}

    def ref(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in self.values:
            return self.values[name]
        if name in self.body["Resources"]:
            names = {"ParentRole": "cofferdam-laptop-parent", "Key": KEY.rpartition("/")[2], "Store": "store"}
            return names.get(name, name)
        raise KeyError(name)

    def attribute(self, name):
        name = name if isinstance(name, str) else ".".join(name)
        return ATTRIBUTES[name]

    def substitute(self, argument):
        text, variables = argument if isinstance(argument, list) else (argument, {})
        parts = text.split("${")
        done = [parts[0]]
        for part in parts[1:]:
            name, rest = part.split("}", 1)
            if name in variables:
                done.append(self.resolve(variables[name]))
            else:
                done.append(self.attribute(name) if "." in name else self.ref(name))
            done.append(rest)
        return "".join(done)

    def condition(self, value):
        (function, argument), = value.items()
        match function:
            case "Condition":
                return self.condition(self.body["Conditions"][argument])
            case "Fn::Equals":
                return self.resolve(argument[0]) == self.resolve(argument[1])
            case "Fn::Not":
                return not self.condition(argument[0])
            case "Fn::And":
                return all([self.condition(one) for one in argument])
        raise ValueError(function)

    def resolve(self, value):
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            match function:
                case "Ref":
                    return self.ref(argument)
                case "Fn::GetAtt":
                    return self.attribute(argument)
                case "Fn::Sub":
                    return self.substitute(argument)
                case "Fn::Join":
                    return argument[0].join(self.resolve(argument[1]))
                case "Fn::Select":
                    return self.resolve(argument[1])[int(argument[0])]
                case "Fn::Split":
                    return self.resolve(argument[1]).split(argument[0])
                case "Fn::If":
                    chosen = self.condition(self.body["Conditions"][argument[0]])
                    return self.resolve(argument[1 if chosen else 2])
        if any(name.startswith("Fn::") for name in value):
            raise ValueError(sorted(value))
        members = {name: self.resolve(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not NOTHING}

    def property(self, resource, name):
        return self.resolve(self.body["Resources"][resource]["Properties"][name])


def plain(value):
    if isinstance(value, dict):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def custody(images, **values):
    registers = {f"Pcr{n}": ",".join(image[n] for image in images) for n in range(3)}
    return Template(CUSTODY, PARAMETERS | (registers if images else {}) | values)


def recovery(images, **values):
    """Resolved as if its role were that of custody.yaml, so that the two can be compared."""
    registers = {f"Pcr{n}": ",".join(image[n] for image in images) for n in range(3)}
    given = {"PrimaryKeyArn": KEY, "SourceBucket": "first"}
    return Template(RECOVERY, PARAMETERS | given | (registers if images else {}) | values)


# --- Evaluation: IAM User Guide, "Policy evaluation logic" and "Condition operators" ----------------


def many(value):
    return value if isinstance(value, list) else [value]


def holds(operator, found, expected):
    missing = found is None
    expected = [str(one) for one in many(expected)]
    match operator:
        case "Null":
            return missing == (expected == ["true"])
        case "Bool":
            return not missing and found in expected
        case "NumericLessThan":
            return not missing and float(found) < float(expected[0])
        case "ArnNotEquals":
            return missing or not any(fnmatch.fnmatchcase(found, one) for one in expected)
        case "StringEquals":
            return not missing and found in expected
        case "StringEqualsIgnoreCase":
            return not missing and found.lower() in [one.lower() for one in expected]
        case "StringNotEqualsIgnoreCase":
            return missing or found.lower() not in [one.lower() for one in expected]
    raise ValueError(operator)


def matches(statement, request):
    known = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
    if unknown := set(statement) - known:
        raise ValueError(unknown)
    if statement.get("Principal", "*") != "*":
        raise ValueError(statement["Principal"])

    def listed(name, value, fold):
        patterns = [fold(one) for one in many(statement[name])]
        return any(fnmatch.fnmatchcase(fold(value), one) for one in patterns)

    for name, value, fold in (("Action", request["action"], str.lower), ("Resource", request["resource"], str)):
        inverse = "Not" + name
        if (name in statement) == (inverse in statement):
            raise ValueError(statement["Sid"])
        if name in statement and not listed(name, value, fold):
            return False
        if inverse in statement and listed(inverse, value, fold):
            return False
    conditions = statement.get("Condition", {})
    return all(
        holds(operator, request["context"].get(key.lower()), expected)
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


def denied_by(policy, request):
    found = [s["Sid"] for s in policy["Statement"] if s["Effect"] == "Deny" and matches(s, request)]
    return found[0] if found else None


def granted(policy, request):
    return any(s["Effect"] == "Allow" and matches(s, request) for s in policy["Statement"])


class Judge:
    """What becomes of a call: of the parent with its role's policy, of others with every permission."""

    def __init__(self, template):
        self.role = template.property("ParentPolicy", "PolicyDocument")
        self.store = template.property("StorePolicy", "PolicyDocument")
        self.failures = 0
        self.count = 0

    def decide(self, caller, action, resource, **context):
        context = {"aws:principalarn": caller, "aws:securetransport": "true", "s3:tlsversion": "1.3"} | {
            key.replace("__", ":").replace("_", "-"): value for key, value in context.items()
        }
        context = {key.lower(): value for key, value in context.items() if value is not None}
        request = {"action": action, "resource": resource, "context": context}
        if resource.startswith("arn:aws:s3:::") and (sid := denied_by(self.store, request)):
            return sid
        if caller == PARENT:
            if sid := denied_by(self.role, request):
                return sid
            return "allowed" if granted(self.role, request) else "not granted"
        return "allowed"

    def expect(self, expected, caller, action, resource, **context):
        found = self.decide(caller, action, resource, **context)
        self.count += 1
        if found != expected:
            self.failures += 1
            print(f"{caller} {action} {resource} {context}: {expected} was expected, found {found}", file=sys.stderr)


KINDS = ["attestations", "keys", "log", "orders", "policies", "rewrapped", "users"]
CREATION = {"s3__if_none_match": "*"}
OTHER = f"arn:aws:iam::{ACCOUNT}:role/other"


def check_store(judge):
    # What the parent does: parent-proxy/src/store. put_new, read, exists, names, and delete for the probe.
    for kind in [*KINDS, "probe"]:
        judge.expect("allowed", PARENT, "s3:PutObject", f"{STORE}/{kind}/v1/x", **CREATION)
        judge.expect("allowed", PARENT, "s3:GetObject", f"{STORE}/{kind}/v1/x")
    judge.expect("allowed", PARENT, "s3:ListBucket", STORE)
    judge.expect("allowed", PARENT, "s3:DeleteObject", f"{STORE}/probe/v1/x")
    # Overwriting, copying and uploading in parts are all PutObject without If-None-Match.
    for kind in [*KINDS, "probe"]:
        for caller in (PARENT, ADMIN, OTHER):
            judge.expect("OnlyCreation", caller, "s3:PutObject", f"{STORE}/{kind}/v1/x")
            judge.expect("NothingIsDeleted", caller, "s3:DeleteObjectVersion", f"{STORE}/{kind}/v1/x")
            judge.expect("NothingIsDeleted", caller, "s3:BypassGovernanceRetention", f"{STORE}/{kind}/v1/x")
    for kind in KINDS:
        judge.expect("NothingIsHidden", PARENT, "s3:DeleteObject", f"{STORE}/{kind}/v1/x")
        for caller in (ADMIN, OTHER):
            judge.expect("OnlyParentsWrite", caller, "s3:DeleteObject", f"{STORE}/{kind}/v1/x")
            judge.expect("OnlyParentsWrite", caller, "s3:PutObject", f"{STORE}/{kind}/v1/x", **CREATION)
    judge.expect("not granted", PARENT, "s3:PutObject", f"{STORE}/other/x", **CREATION)
    judge.expect("not granted", PARENT, "s3:PutObject", "arn:aws:s3:::another/keys/v1/x", **CREATION)
    for action in ("s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:PutObjectAcl", "s3:PutObjectTagging"):
        judge.expect("not granted", PARENT, action, f"{STORE}/keys/v1/x")
    for action in (
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
        "s3:PutBucketVersioning",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketPublicAccessBlock",
        "s3:DeleteBucket",
    ):
        judge.expect("allowed", ADMIN, action, STORE)
        for caller in (PARENT, OTHER):
            judge.expect("NobodyElseAdministrates", caller, action, STORE)
    for caller in (PARENT, ADMIN):
        judge.expect("OnlyTls", caller, "s3:GetObject", f"{STORE}/keys/v1/x", aws__securetransport="false", s3__tlsversion=None)
        judge.expect("OnlyModernTls", caller, "s3:GetObject", f"{STORE}/keys/v1/x", s3__tlsversion="1.1")


def check_copies(judge):
    """What comes from the first region: by S3's replication, or by the role that copies."""
    replication = ATTRIBUTES["ReplicationRole.Arn"]
    copier = f"arn:aws:iam::{ACCOUNT}:role/copier"
    for kind in KINDS:
        path = f"{STORE}/{kind}/v1/x"
        judge.expect("allowed", replication, "s3:ReplicateObject", path)
        judge.expect("allowed", replication, "s3:ReplicateTags", path)
        judge.expect("allowed", copier, "s3:PutObject", path, **CREATION)
        judge.expect("OnlyCreation", copier, "s3:PutObject", path)
        judge.expect("NothingIsHidden", copier, "s3:DeleteObject", path)
        judge.expect("OnlyParentsWrite", replication, "s3:PutObject", path, **CREATION)
        for caller in (PARENT, ADMIN, OTHER, copier):
            judge.expect("OnlyTheStoreIsReplicated", caller, "s3:ReplicateObject", path)
        for caller in (PARENT, ADMIN, OTHER, copier, replication):
            judge.expect("NoDeletionIsReplicated", caller, "s3:ReplicateDelete", path)


def check_recovery(images):
    """Key policy and role's policy are those of the first region, each for its own key and role."""
    judge, faults = Judge(recovery(images, CopierRole="copier")), 0
    check_store(judge)
    check_copies(judge)
    nobody = Judge(recovery(images))
    nobody.expect("OnlyParentsWrite", f"arn:aws:iam::{ACCOUNT}:role/copier", "s3:PutObject", f"{STORE}/keys/v1/x", **CREATION)
    for resource, name in (("Key", "KeyPolicy"), ("ParentPolicy", "PolicyDocument")):
        if recovery(images).property(resource, name) != custody(images).property(resource, name):
            print(f"recovery.yaml: {resource}.{name} of custody.yaml was expected", file=sys.stderr)
            faults += 1
    return judge.count + nobody.count, judge.failures + nobody.failures + faults


def check_role(judge, images, keys=(KEY,)):
    def attested(image, deployment="laptop"):
        registers = {f"kms__RecipientAttestation__PCR{n}": image[n] for n in range(3)}
        return registers | {"kms__EncryptionContext__deployment": deployment}

    another = ["c0" * 48, "c1" * 48, "c2" * 48]
    for action, key in [(action, key) for action in ("kms:Decrypt", "kms:GenerateDataKey") for key in keys]:
        for image in images:
            judge.expect("allowed", PARENT, action, key, **attested(image))
            judge.expect("not granted", PARENT, action, key, **attested(image, "another"))
            judge.expect("not granted", PARENT, action, key, **attested([image[0], another[1], image[2]]))
            judge.expect("not granted", PARENT, action, key, **attested([image[0], image[1], another[2]]))
        for image in [another, ["0" * 96] * 3, *([] if images else IMAGES)]:
            judge.expect("NothingWithoutThisImage", PARENT, action, key, **attested(image))
        judge.expect("NothingWithoutThisImage", PARENT, action, key)
        judge.expect("NoOtherKey", PARENT, action, KEY.replace("1111", "9999"))
        if OTHER_KEY not in keys:
            judge.expect("NoOtherKey", PARENT, action, OTHER_KEY)
    calls = ("kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant", "kms:PutKeyPolicy")
    for action, key in [(action, key) for action in calls for key in keys]:
        judge.expect("NothingWithoutThisImage", PARENT, action, key)
        if images:
            judge.expect("DataKeysOnly", PARENT, action, key, **attested(images[0]))
    for action in ("iam:UpdateAssumeRolePolicy", "sts:AssumeRole", "ec2:RunInstances", "logs:DeleteLogGroup"):
        judge.expect("not granted", PARENT, action, "arn:aws:iam::000000000000:role/operator")


def check_resources():
    """What would lose keys or open a door if somebody changed it."""
    template = custody(IMAGES[:1])
    faults = []

    def expect(what, found, expected):
        if found != expected:
            faults.append(f"{what}: {expected} was expected, found {found}")

    resources = template.body["Resources"]
    for name in ("ParentRole", "ParentPolicy", "Key", "Store", "StorePolicy", "ParentLog"):
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            expect(f"{name}.{policy}", resources[name].get(policy), "Retain")
    expect("Key.MultiRegion", template.property("Key", "MultiRegion"), False)
    expect("Key.Origin", template.property("Key", "Origin"), "AWS_KMS")
    expect("Key.Bypass", template.property("Key", "BypassPolicyLockoutSafetyCheck"), False)
    expect("Store.Versioning", template.property("Store", "VersioningConfiguration"), {"Status": "Enabled"})
    lock = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": "400"}},
    }
    expect("Store.ObjectLock", template.property("Store", "ObjectLockConfiguration"), lock)
    expect("Store.ObjectLockEnabled", template.property("Store", "ObjectLockEnabled"), True)
    block = template.property("Store", "PublicAccessBlockConfiguration")
    expect("Store.PublicAccessBlock", sorted(block.values()), [True] * 4)
    expect("RetentionDays.Default", template.body["Parameters"]["RetentionDays"].get("Default"), None)
    expect("Key.MultiRegion, where it was asked for", custody([], MultiRegion="yes").property("Key", "MultiRegion"), True)
    there = recovery(IMAGES[:1])
    for name in ("ParentRole", "ParentPolicy", "Key", "Store", "StorePolicy", "ReplicationRole", "ParentLog"):
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            expect(f"recovery: {name}.{policy}", there.body["Resources"][name].get(policy), "Retain")
    expect("recovery: Key", there.body["Resources"]["Key"]["Type"], "AWS::KMS::ReplicaKey")
    for name in ("VersioningConfiguration", "ObjectLockConfiguration", "ObjectLockEnabled", "PublicAccessBlockConfiguration", "BucketEncryption"):
        expect(f"recovery: Store.{name}", there.property("Store", name), template.property("Store", name))
    expect("recovery: RetentionDays.Default", there.body["Parameters"]["RetentionDays"].get("Default"), None)
    roles = [there.property(name, "RoleName") for name in ("ParentRole", "ReplicationRole")]
    expect("roles of two regions", len({*roles, template.property("ParentRole", "RoleName")}), 3)

    given = {"ParentRole": "cofferdam-laptop-parent", "ParentLog": "/cofferdam/laptop/parent", "KeyArn": KEY}
    watch = Template(WATCH, PARAMETERS | given | {"StoreUrl": "s3://store"})
    filters = 0
    for name, resource in watch.body["Resources"].items():
        if resource["Type"] == "AWS::Logs::MetricFilter":
            filters += 1
            pattern = watch.property(name, "FilterPattern")
            expect(f"{name}: at most 1024 characters", len(pattern) <= 1024, True)
            expect(f"{name}: brackets", pattern.count("("), pattern.count(")"))
            metric = resource["Properties"]["MetricTransformations"][0]["MetricName"]
            alarm = watch.body["Resources"][metric]["Properties"]
            expect(f"{metric}: the filter's metric", alarm["MetricName"], metric)
            expect(f"{metric}: tells somebody", alarm["AlarmActions"], [{"Ref": "AlarmTopic"}])
    expect("alarms on filters", filters, 6)
    for name, sought in (("KeyDeniedFilter", KEY), ("KeyChangedFilter", KEY.rpartition("/")[2]), ("StoreChangedFilter", '"store"')):
        expect(f"{name}: names its own", sought in watch.property(name, "FilterPattern"), True)

    node = plain(cfn_yaml.load(str(NODE)))["Resources"]
    data = node["Template"]["Properties"]["LaunchTemplateData"]
    expect("EnclaveOptions", data["EnclaveOptions"], {"Enabled": True})
    expect("HttpTokens", data["MetadataOptions"]["HttpTokens"], "required")
    expect("HttpPutResponseHopLimit", data["MetadataOptions"]["HttpPutResponseHopLimit"], 1)
    expect("public address", [n["AssociatePublicIpAddress"] for n in data["NetworkInterfaces"]], [False])
    expect("encrypted", [d["Ebs"]["Encrypted"] for d in data["BlockDeviceMappings"]], [True])
    expect("LogVolume.Encrypted", node["LogVolume"]["Properties"]["Encrypted"], True)
    expect("LogVolume.DeletionPolicy", node["LogVolume"].get("DeletionPolicy"), "Retain")
    for fault in faults:
        print(fault, file=sys.stderr)
    return len(faults)


def bucket(template):
    """The store's policy and settings, as `aws s3api` prints them."""
    rules = []
    for rule in template.property("Store", "LifecycleConfiguration")["Rules"]:
        printed = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
        if rule.get("ExpiredObjectDeleteMarker"):
            printed["Expiration"] = {"ExpiredObjectDeleteMarker": True}
        for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
            if name in rule:
                printed[name] = rule[name]
        if unknown := set(rule) - {"Id", "Prefix", "ExpiredObjectDeleteMarker", *printed}:
            raise ValueError(unknown)
        rules.append(printed)
    lock = template.property("Store", "ObjectLockConfiguration")
    lock["Rule"]["DefaultRetention"]["Days"] = int(lock["Rule"]["DefaultRetention"]["Days"])
    encryption = template.property("Store", "BucketEncryption")["ServerSideEncryptionConfiguration"]
    printed = [{"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]} for rule in encryption]
    return {
        "bucket-policy.json": template.property("StorePolicy", "PolicyDocument"),
        "bucket-versioning.json": template.property("Store", "VersioningConfiguration"),
        "object-lock.json": {"ObjectLockConfiguration": lock},
        "public-access-block.json": {
            "PublicAccessBlockConfiguration": template.property("Store", "PublicAccessBlockConfiguration")
        },
        "bucket-encryption.json": {"ServerSideEncryptionConfiguration": {"Rules": printed}},
        "bucket-lifecycle.json": {"Rules": rules},
    }


def vectors():
    """Key policies by file name, and the values that they were resolved with."""
    files = {}
    for name, images in (("no-image", []), ("one-image", IMAGES[:1]), ("two-images", IMAGES)):
        files[f"key-policy-{name}.json"] = custody(images).property("Key", "KeyPolicy")
    opened = custody(IMAGES[:1], MultiRegion="yes", ReplicateTo="us-west-2")
    files["key-policy-replicating.json"] = opened.property("Key", "KeyPolicy")
    files["parameters.json"] = {
        "admin": ADMIN,
        "enclave_role": PARENT,
        "key": KEY,
        "deployment": "laptop",
        "images": [{"PCR0": a, "PCR1": b, "PCR2": c} for a, b, c in IMAGES],
    }
    files |= bucket(custody(IMAGES[:1]))
    return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


def main():
    mode = sys.argv[1:]
    if mode not in (["--write"], ["--check"]):
        sys.exit(__doc__)
    failures = 0
    for name, content in vectors().items():
        path = VECTORS / name
        if mode == ["--write"]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        elif not path.is_file() or path.read_text() != content:
            print(f"{path.relative_to(ROOT)} is not the template's; deploy.sh --write makes it anew", file=sys.stderr)
            failures += 1
    count = 0
    for images in ([], IMAGES[:1], IMAGES):
        judge = Judge(custody(images))
        check_store(judge)
        check_role(judge, images)
        there, faults = check_recovery(images)
        failures += judge.failures + faults
        count += judge.count + there
        # While keys are re-sealed under another KMS key.
        judge = Judge(custody(images, OtherKey=OTHER_KEY))
        check_role(judge, images, (KEY, OTHER_KEY))
        failures += judge.failures
        count += judge.count
    # Asked for alone, without a region to replicate into, a multi-Region key has the same policy.
    if custody(IMAGES, MultiRegion="yes").property("Key", "KeyPolicy") != custody(IMAGES).property("Key", "KeyPolicy"):
        print("a multi-Region key was expected to have the production policy", file=sys.stderr)
        failures += 1
    # One register is no image: then nobody may.
    partial = Template(CUSTODY, PARAMETERS | {"Pcr0": IMAGES[0][0]}).property("Key", "KeyPolicy")
    if json.dumps(partial, indent=2) + "\n" != vectors()["key-policy-no-image.json"]:
        print("a key policy for an incomplete image was expected to let nobody in", file=sys.stderr)
        failures += 1
    failures += check_resources()
    print(f"policies: {count} calls judged, {failures} faults")
    sys.exit(1 if failures else 0)


main()
