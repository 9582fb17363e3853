#!/usr/bin/env python3
"""What would lose keys or open a door if somebody changed it in deploy/cloudformation, apart from policies.

Settings; what is kept; parameters that a template must and must not take; what two templates share; and the
whole of it for a multi-Region key with two instances.
"""

import sys

from deploy_template import (
    CLUSTER, CUSTODY, ENDPOINTS, FOLDER, IMAGES, KEY, MULTI_REGION_KEY, NODE, NODE_VALUES, OTHER_KEY, PARAMETERS, PINS, RECOVERY, WATCH,
    Refused, custody, endpoints, node, recovery, refused, watch,
)

FAULTS = []
# The key alone stays when the creation of its stack fails: nobody may delete it. So does the trail's bucket,
# as it holds something at once.
KEPT_ALWAYS = {"Key", "TrailBucket", "TrailBucketPolicy"}
KEPT = {
    CUSTODY: {"ParentRole", "ParentProfile", "ParentPolicy", "Key", "Store", "StorePolicy", "ParentLog"},
    RECOVERY: {"ParentRole", "ParentProfile", "ParentPolicy", "Key", "Store", "StorePolicy", "ReplicationRole", "ParentLog"},
    WATCH: {"TrailBucket", "TrailBucketPolicy", "OwnTrailLog"},
    NODE: {"LogVolume"},
    ENDPOINTS: set(),
}


def expect(what, found, expected):
    if found != expected:
        FAULTS.append(f"{what}: {expected} was expected, found {found}")


def check_kept(templates):
    for path, template in templates.items():
        for name, resource in template.body["Resources"].items():
            deletion, replaced = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
            wanted = (None, None)
            if name in KEPT[path]:
                wanted = ("Retain" if name in KEPT_ALWAYS else "RetainExceptOnCreate", "Retain")
            expect(f"{path.name}: {name} is kept", (deletion, replaced), wanted)
        # What is kept although a creation failed comes late, so that little can fail after it; and before the
        # policy with which nobody but a right AdminRole takes the bucket back.
        resources = template.body["Resources"]
        if "Key" in resources:
            before = {"Store", "ParentLog", "ReplicationRole"} & set(resources)
            expect(f"{path.name}: Key comes after", set(resources["Key"]["DependsOn"]), before)
            expect(f"{path.name}: StorePolicy comes after", resources["StorePolicy"].get("DependsOn"), "Key")
        expect(f"{path.name}: fits into a call", path.stat().st_size <= 51_200, True)


def check_custody():
    template, there = custody(IMAGES[:1]), recovery(IMAGES[:1])
    expect("Key.MultiRegion", template.property("Key", "MultiRegion"), False)
    expect("Key.Origin", template.property("Key", "Origin"), "AWS_KMS")
    expect("Key.Bypass", template.property("Key", "BypassPolicyLockoutSafetyCheck"), False)
    expect("Key.MultiRegion, where it was asked for", custody([], MultiRegion="yes").property("Key", "MultiRegion"), True)
    expect("Store.Versioning", template.property("Store", "VersioningConfiguration"), {"Status": "Enabled"})
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": "400"}}}
    expect("Store.ObjectLock", template.property("Store", "ObjectLockConfiguration"), lock)
    expect("Store.ObjectLockEnabled", template.property("Store", "ObjectLockEnabled"), True)
    block = template.property("Store", "PublicAccessBlockConfiguration")
    expect("Store.PublicAccessBlock", sorted(block.values()), [True] * 4)
    for one in (template, there):
        expect("RetentionDays.Default", one.body["Parameters"]["RetentionDays"].get("Default"), None)
    expect("recovery: Key", there.body["Resources"]["Key"]["Type"], "AWS::KMS::ReplicaKey")
    for name in ("VersioningConfiguration", "ObjectLockConfiguration", "ObjectLockEnabled", "PublicAccessBlockConfiguration", "BucketEncryption"):
        expect(f"recovery: Store.{name}", there.property("Store", name), template.property("Store", name))
    open_ = custody([], CopyFrom="other-store"), recovery([], Copies="yes")
    roles = [one.property(name, "RoleName") for one in open_ for name in ("ParentRole", "CopierRole")]
    roles.append(there.property("ReplicationRole", "RoleName"))
    expect("each role has a name of its own", len(set(roles)), 5)
    for one in (template, there):
        expect("nobody copies unless asked for", one.exists("CopierRole"), False)


def check_shared():
    """Key policy and role's policy of the recovery region are those of the first, each for its own key and role."""
    for images in ([], IMAGES[:1], IMAGES):
        for more in ({}, PINS):
            here, there = custody(images, **more), recovery(images, **more)
            for resource, name in (("Key", "KeyPolicy"), ("ParentPolicy", "PolicyDocument")):
                same = there.property(resource, name) == here.property(resource, name)
                expect(f"recovery.yaml: {resource}.{name} is that of custody.yaml with {len(images)} images", same, True)
    # Before there is an image there is nothing to pin.
    expect("pins without an image", custody([], **PINS).property("Key", "KeyPolicy"), custody([]).property("Key", "KeyPolicy"))
    # Asked for alone, without a region to replicate into, a multi-Region key has the same policy.
    expect("a multi-Region key's policy", custody(IMAGES, MultiRegion="yes").property("Key", "KeyPolicy"), custody(IMAGES).property("Key", "KeyPolicy"))
    # One register is no image: then nobody may.
    partial = custody([], Pcr0=IMAGES[0][0]).property("Key", "KeyPolicy")
    expect("an incomplete image lets nobody in", partial, custody([]).property("Key", "KeyPolicy"))
    pods = {"RunsOn": "eks", "EksCluster": CLUSTER}
    trust = [one.property("ParentRole", "AssumeRolePolicyDocument") for one in (custody([], **pods), recovery([], **pods))]
    expect("recovery.yaml: the trust of custody.yaml", trust[1], trust[0])


def check_parameters():
    """What each template refuses, and by what."""
    base = PARAMETERS | {"PrimaryKeyArn": MULTI_REGION_KEY, "SourceBucket": "other-store"}
    for path in (CUSTODY, RECOVERY):
        given = {name: value for name, value in base.items() if path == RECOVERY or name in PARAMETERS}
        expect(f"{path.name}", refused(path, given), None)
        for name, bad in (
            ("Pcr0", "0" * 96), ("Pcr1", f"{'a1' * 48},{'0' * 96}"), ("Pcr2", "A2" * 48), ("InstanceRoleRegister", "0" * 96),
            ("InstanceRegister", "d4"), ("KmsEndpoint", "vpc-0123456789abcdef0"), ("EksCluster", KEY), ("RetentionDays", "0"),
        ):
            expect(f"{path.name} {name}={bad[:20]}", refused(path, given | {name: bad}), name)
        expect(f"{path.name}: pods of any cluster", refused(path, given | {"RunsOn": "eks"}), "PodsNeedACluster")
        expect(f"{path.name}: pods of one", refused(path, given | {"RunsOn": "eks", "EksCluster": CLUSTER}), None)
    expect("a key of one region has no replica", refused(RECOVERY, base | {"PrimaryKeyArn": KEY}), "PrimaryKeyArn")
    for make in (watch, endpoints):
        for bad in ("mrk-1", f"{KEY}/x", KEY.replace(":key/", ":alias/"), KEY[:-1]):
            try:
                make(bad)
                expect(f"{make.__name__} {bad}", "taken", "refused")
            except Refused as error:
                expect(f"{make.__name__} {bad}", str(error), "KeyArn")
    check_types()


def check_types():
    """Instance types. AWS: Nitro Enclaves User Guide, "Requirements"."""
    can = (
        "m5.xlarge m6i.xlarge m6i.32xlarge c5.9xlarge c5.18xlarge c6a.48xlarge m6idn.2xlarge r5b.4xlarge r6in.xlarge m5zn.12xlarge "
        "c7i.xlarge m7i.2xlarge r7i.16xlarge c7i.12xlarge m7a.48xlarge"
    )
    cannot = (
        "m6i.metal c5.metal c7i.metal-24xl m5zn.metal t3.xlarge t3a.2xlarge m6i.large m5.medium m7i-flex.xlarge c7i.24xlarge m7i.48xlarge "
        "r7i.24xlarge r7iz.xlarge g4ad.xlarge trn1.2xlarge trn1n.32xlarge u-3tb1.56xlarge vt1.3xlarge m4.xlarge t2.xlarge "
        "m6g.xlarge c7g.xlarge t4g.xlarge a1.xlarge m6i.1xlarge m6i.0xlarge mac1.xlarge i3.16xlarge m6i.xlarge,t3.xlarge"
    )
    arm = "c6g.xlarge c6gd.2xlarge c6gn.16xlarge m6g.xlarge m6gd.4xlarge r6g.12xlarge r6gd.8xlarge x2gd.xlarge"
    no_arm = "m6i.xlarge m6g.metal m6g.large m6g.medium t4g.xlarge a1.xlarge c7gn.xlarge c7gd.xlarge m7g.xlarge m7gd.xlarge r7g.xlarge r7gd.xlarge g5g.xlarge im4gn.xlarge is4gen.xlarge hpc7g.16xlarge"
    for parameter, right, wrong in (("InstanceType", can, cannot), ("ArmInstanceType", arm, no_arm)):
        for name in right.split():
            expect(f"{parameter}={name}", refused(NODE, NODE_VALUES | {parameter: name}), None)
        for name in wrong.split():
            expect(f"{parameter}={name}", refused(NODE, NODE_VALUES | {parameter: name}), parameter)
    for values, expected in (({}, "m6i.xlarge"), ({"InstanceType": "c6a.xlarge"}, "c6a.xlarge"), ({"ArmInstanceType": "m6g.xlarge"}, "m6g.xlarge")):
        expect(f"type with {values}", node(**values).property("Template", "LaunchTemplateData")["InstanceType"], expected)


def check_node():
    template = node(EndpointClients="sg-2")
    data = template.property("Template", "LaunchTemplateData")
    expect("EnclaveOptions", data["EnclaveOptions"], {"Enabled": True})
    expect("HttpTokens", data["MetadataOptions"]["HttpTokens"], "required")
    expect("HttpPutResponseHopLimit", data["MetadataOptions"]["HttpPutResponseHopLimit"], 1)
    expect("public address", [n["AssociatePublicIpAddress"] for n in data["NetworkInterfaces"]], [False])
    expect("encrypted", [d["Ebs"]["Encrypted"] for d in data["BlockDeviceMappings"]], [True])
    expect("LogVolume.Encrypted", template.property("LogVolume", "Encrypted"), True)
    expect("groups", data["NetworkInterfaces"][0]["Groups"], ["NodeGroup", "sg-2"])
    alone = node().property("Template", "LaunchTemplateData")["NetworkInterfaces"][0]["Groups"]
    expect("groups without endpoints", alone, ["NodeGroup"])


def check_alarms():
    template = watch()
    for name, resource in template.body["Resources"].items():
        if resource["Type"] == "AWS::Logs::MetricFilter":
            metric = resource["Properties"]["MetricTransformations"][0]["MetricName"]
            alarm = template.body["Resources"][metric]["Properties"]
            expect(f"{metric}: the filter's metric", alarm["MetricName"], metric)
            expect(f"{metric}: tells somebody", alarm["AlarmActions"], [{"Ref": "AlarmTopic"}])
    expect("the rule tells the same people", template.property("UndoneAtOnce", "Targets"), [{"Id": "told", "Arn": "AlarmTopic"}])


def check_whole():
    """One deployment with a multi-Region key: endpoints once, two instances, and watched twice while keys move to
    another key. No name is taken twice."""
    names = []
    here = custody(IMAGES, MultiRegion="yes", **PINS)
    stacks = [here, watch(MULTI_REGION_KEY), watch(OTHER_KEY, Suffix="-new", TrailLogGroup="/cofferdam/laptop/trail"), endpoints(MULTI_REGION_KEY), node(EndpointClients="sg-2"), node(EndpointClients="sg-2", SubnetId="subnet-2")]
    for number, stack in enumerate(stacks):
        for name, resource in stack.body["Resources"].items():
            for member in ("RoleName", "InstanceProfileName", "AlarmName", "TopicName", "LogGroupName", "TrailName", "BucketName"):
                # Names of CloudFormation's own making, and what an instance's id is in, are never the same.
                if member in resource.get("Properties", {}) and stack.exists(name) and resource["Type"] not in ("AWS::Logs::MetricFilter", "AWS::IAM::RolePolicy"):
                    text = stack.property(name, member).replace("Instance", f"i-{number}")
                    names.append((member, text))
            if resource["Type"] == "AWS::Logs::MetricFilter":
                metric = stack.property(name, "MetricTransformations")[0]
                names.append((metric["MetricNamespace"], metric["MetricName"]))
            # A VPC has one endpoint with private DNS.
            if resource["Type"] == "AWS::EC2::VPCEndpoint":
                names.append(("endpoint", stack.property(name, "ServiceName")))
    twice = {name for name in names if names.count(name) > 1}
    expect("names that are taken twice", twice, set())
    statement = endpoints(MULTI_REGION_KEY).property("KmsEndpoint", "PolicyDocument")["Statement"][0]
    expect("endpoint: the key", statement["Resource"], [MULTI_REGION_KEY])


def main():
    templates = {CUSTODY: custody([]), RECOVERY: recovery([]), WATCH: watch(), NODE: node(), ENDPOINTS: endpoints()}
    expect("templates that are looked at", {path.name for path in templates}, {path.name for path in FOLDER.glob("*.yaml")})
    check_kept(templates)
    for check in (check_custody, check_shared, check_parameters, check_node, check_alarms, check_whole):
        check()
    for fault in FAULTS:
        print(fault, file=sys.stderr)
    print(f"settings: {len(FAULTS)} faults")
    sys.exit(1 if FAULTS else 0)


main()
