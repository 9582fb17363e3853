#!/usr/bin/env python3
"""Writes the policies of deploy/cloudformation, resolved with sample parameters, to tests/vectors/deploy.

    deploy_policies.py --write | --check

There the tests kms-policies/tests/deployed*.rs and the auditor's judge them, with the one evaluator that this
project has. --check says whether they are still those of the templates.
"""

import json
import sys

from deploy_template import (
    ADMIN, CLUSTER, COPIER, ENDPOINT, IMAGES, INSTANCES, KEY, OTHER_KEY, PARENT, PINS, REPLICATION, ROOT, custody, endpoints, recovery,
)

VECTORS = ROOT / "tests/vectors/deploy"


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


def inline(template, role):
    """The one policy that is part of a role."""
    (policy,) = template.property(role, "Policies")
    return policy["PolicyDocument"]


def keys_and_roles():
    files = {}
    for name, images in (("no-image", []), ("one-image", IMAGES[:1]), ("two-images", IMAGES)):
        files[f"key-policy-{name}.json"] = custody(images).property("Key", "KeyPolicy")
        files[f"role-policy-{name}.json"] = custody(images).property("ParentPolicy", "PolicyDocument")
    files["key-policy-pinned.json"] = custody(IMAGES[:1], **PINS).property("Key", "KeyPolicy")
    opened = custody(IMAGES[:1], MultiRegion="yes", ReplicateTo="us-west-2")
    files["key-policy-replicating.json"] = opened.property("Key", "KeyPolicy")
    # While keys are re-sealed under another KMS key.
    files["role-policy-other-key.json"] = custody(IMAGES, OtherKey=OTHER_KEY).property("ParentPolicy", "PolicyDocument")
    files["trust-ec2.json"] = custody([]).property("ParentRole", "AssumeRolePolicyDocument")
    pods = custody([], RunsOn="eks", EksCluster=CLUSTER)
    files["trust-eks.json"] = pods.property("ParentRole", "AssumeRolePolicyDocument")
    return files


def stores():
    back, there = custody(IMAGES[:1], CopyFrom="other-store"), recovery(IMAGES[:1], Copies="yes")
    return {
        "bucket-policy-copying.json": back.property("StorePolicy", "PolicyDocument"),
        "copier-policy.json": inline(back, "CopierRole"),
        "copier-trust.json": back.property("CopierRole", "AssumeRolePolicyDocument"),
        "recovery-bucket-policy.json": recovery(IMAGES[:1]).property("StorePolicy", "PolicyDocument"),
        "recovery-bucket-policy-copying.json": there.property("StorePolicy", "PolicyDocument"),
        "recovery-copier-policy.json": inline(there, "CopierRole"),
        "replication-policy.json": inline(there, "ReplicationRole"),
        "endpoint-kms.json": endpoints().property("KmsEndpoint", "PolicyDocument"),
        "endpoint-s3.json": endpoints().property("S3Endpoint", "PolicyDocument"),
    }


def vectors():
    """Everything by file name, and the values that it was resolved with."""
    parameters = {
        "admin": ADMIN,
        "enclave_role": PARENT,
        "copier": COPIER,
        "replication": REPLICATION,
        "key": KEY,
        "other_key": OTHER_KEY,
        "cluster": CLUSTER,
        "deployment": "laptop",
        "images": [{"PCR0": a, "PCR1": b, "PCR2": c} for a, b, c in IMAGES],
        "pins": {"instances": INSTANCES, "endpoints": [ENDPOINT]},
    }
    files = {"parameters.json": parameters} | keys_and_roles() | stores() | bucket(custody(IMAGES[:1]))
    return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


def main():
    mode = sys.argv[1:]
    if mode not in (["--write"], ["--check"]):
        sys.exit(__doc__)
    faults, made = 0, vectors()
    if mode == ["--write"]:
        VECTORS.mkdir(parents=True, exist_ok=True)
        for name, content in made.items():
            (VECTORS / name).write_text(content)
    there = {path.name: path.read_text() for path in VECTORS.iterdir()}
    for name in sorted(made.keys() | there.keys()):
        if made.get(name) != there.get(name):
            print(f"{name} is not the templates'; deploy.sh --write makes it anew", file=sys.stderr)
            faults += 1
    print(f"policies: {len(made)} files, {faults} faults")
    sys.exit(1 if faults else 0)


main()
