#!/usr/bin/env python3
"""Which calls the alarms of watch.yaml tell of, and which they do not.

Events have the form of those that AWS's documentation shows (KMS Developer Guide, "Logging AWS KMS API calls
with AWS CloudTrail", and the same of the other services). What real events look like is seen only on AWS:
docs/deploy.md, section 12.
"""

import sys

from deploy_filters import Filter, fits
from deploy_template import KEY, MULTI_REGION_KEY, OTHER_KEY, watch


def event(source, name, parameters=None, **more):
    return {"eventSource": f"{source}.amazonaws.com", "eventName": name, "requestParameters": parameters} | more


def key_events(key):
    """Calls on a key, by each way to name it; and those that only read or use it."""
    short, alias = key.rpartition("/")[2], key.rpartition(":")[0] + ":alias/mine"
    named = [{"ARN": key}]
    changes = [
        event("kms", name, {"keyId": how}, resources=named)
        for how in (short, key, "alias/mine")
        for name in (
            "PutKeyPolicy", "CreateGrant", "RevokeGrant", "DisableKey", "EnableKey", "ScheduleKeyDeletion",
            "CancelKeyDeletion", "ReplicateKey", "UpdatePrimaryRegion", "ImportKeyMaterial",
            "DeleteImportedKeyMaterial", "DisableKeyRotation", "EnableKeyRotation", "RotateKeyOnDemand",
            "TagResource", "UntagResource", "UpdateKeyDescription",
        )
    ]
    # A grant is retired with a token alone, an alias deleted with its name.
    changes.append(event("kms", "RetireGrant", {"grantToken": "x"}, resources=named))
    for name in ("CreateAlias", "UpdateAlias"):
        changes.append(event("kms", name, {"aliasName": "alias/mine", "targetKeyId": short}, resources=[]))
        changes.append(event("kms", name, {"aliasName": "alias/mine", "targetKeyId": key}, resources=[{"ARN": alias}, *named]))
    for resources in ([{"ARN": alias}, *named], [*named, {"ARN": alias}]):
        changes.append(event("kms", "DeleteAlias", {"aliasName": "alias/mine"}, resources=resources))
    reads = [
        event("kms", name, {"keyId": key}, resources=named)
        for name in ("Decrypt", "GenerateDataKey", "DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListResourceTags", "ListAliases")
    ]
    denied = [
        event("kms", "Decrypt", None, errorCode="AccessDenied", resources=named),
        event("kms", "GenerateDataKey", None, errorCode="AccessDeniedException", errorMessage=f"… on resource: {key} with an explicit deny"),
    ]
    return {"KeyChanged": changes, "KeyDenied": denied, None: reads}


def others(bucket, trail):
    roles = ("operator", "cofferdam-laptop-parent", "cofferdam-laptop-copier", "cofferdam-laptop-recovery-copier", "TrailRole")
    undone = {
        "monitoring": ("DeleteAlarms", "DisableAlarmActions", "PutMetricAlarm", "PutCompositeAlarm", "SetAlarmState", "PutAlarmMuteRule"),
        "logs": ("DeleteMetricFilter", "PutMetricFilter", "DeleteLogGroup", "DeleteLogStream", "AssociateKmsKey", "DisassociateKmsKey", "PutTransformer", "PutAccountPolicy", "PutDataProtectionPolicy"),
        "sns": ("DeleteTopic", "Unsubscribe", "SetTopicAttributes", "SetSubscriptionAttributes", "AddPermission", "RemovePermission"),
        "events": ("DeleteRule", "DisableRule", "PutRule", "RemoveTargets", "PutTargets"),
    }
    read = {
        "monitoring": ("DescribeAlarms", "DescribeAlarmHistory", "GetAlarmMuteRule", "ListAlarmMuteRules", "PutMetricData"),
        "logs": ("DescribeMetricFilters", "TestMetricFilter", "CreateLogStream", "PutLogEvents", "GetTransformer", "GetDataProtectionPolicy", "TestTransformer"),
        "sns": ("Publish", "GetTopicAttributes", "ListSubscriptions", "GetSubscriptionAttributes"),
        "events": ("DescribeRule", "ListRules", "ListTargetsByRule", "PutEvents"),
        "cloudtrail": ("GetTrailStatus", "DescribeTrails", "LookupEvents"),
    }
    # EventBridge has no events of calls that only read.
    reading = ("Describe", "Get", "List", "Test", "Publish", "PutMetricData", "PutLogEvents", "PutEvents", "Lookup")
    return {
        "StoreChanged": [
            event("s3", name, {"bucketName": name_of})
            for name_of in (bucket, trail)
            for name in (
                "PutBucketPolicy", "DeleteBucketPolicy", "PutBucketVersioning", "PutObjectLockConfiguration", "PutBucketLifecycle",
                "PutBucketReplication", "DeleteBucket", "PutBucketPublicAccessBlock", "DeleteBucketPublicAccessBlock",
            )
        ],
        "RolesChanged": [
            event("iam", name, {"roleName": role})
            for role in roles
            for name in (
                "UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy", "DetachRolePolicy", "DeleteRolePolicy", "CreateRole",
                "DeleteRole", "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary", "AddRoleToInstanceProfile",
            )
        ],
        "TrailStopped": [event("cloudtrail", name) for name in ("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors")],
        "AlarmsUndone": [event(source, name, {}) for source, names in undone.items() for name in names],
        None: [
            *(event(source, name, {}) for source, names in read.items() for name in names),
            *(event("s3", name, {"bucketName": bucket}) for name in ("GetBucketPolicy", "GetBucketVersioning", "GetBucketPublicAccessBlock")),
            *(event("s3", "PutBucketPolicy", {"bucketName": "another"}), event("iam", "GetRolePolicy", {"roleName": "operator"})),
            *(event("iam", "PutRolePolicy", {"roleName": "another"}), event("iam", "GetRole", {"roleName": "cofferdam-laptop-parent"})),
        ],
        "reading": reading,
    }


def alarms(template):
    found = {}
    for name, resource in template.body["Resources"].items():
        if resource["Type"] == "AWS::Logs::MetricFilter" and template.exists(name):
            pattern = template.property(name, "FilterPattern")
            if len(pattern) > 1024:
                raise ValueError(f"{name}: at most 1024 characters were expected, found {len(pattern)}")
            found[resource["Properties"]["MetricTransformations"][0]["MetricName"]] = Filter(pattern)
    return found


def main():
    faults = judged = 0

    def expect(what, found, expected):
        nonlocal faults, judged
        judged += 1
        if found != expected:
            faults += 1
            print(f"{what}: {expected} was expected, found {found}", file=sys.stderr)

    for key in (KEY, MULTI_REGION_KEY):
        template = watch(key)
        filters, rule = alarms(template), template.property("UndoneAtOnce", "EventPattern")
        other = others("store", template.ref("TrailBucket"))
        reading = other.pop("reading")
        for alarm, events in [*key_events(key).items(), *other.items()]:
            for one in events:
                rings = [name for name, pattern in filters.items() if pattern.matches(one)]
                expect(f"{key} {one}", rings, [alarm] if alarm else [])
                if not one["eventName"].startswith(reading):
                    told = fits(rule, {"detail-type": "AWS API Call via CloudTrail", "detail": one})
                    expect(f"told at once of {one}", told, alarm in ("AlarmsUndone", "TrailStopped"))
        # Another key's matters are another's.
        for events in key_events(OTHER_KEY).values():
            for one in events:
                expect(f"{key} {one}", [name for name, pattern in filters.items() if pattern.matches(one)], [])
    # With somebody else's trail there is neither bucket nor role to look at.
    elsewhere = alarms(watch(TrailLogGroup="trail"))
    expect("no bucket", elsewhere["StoreChanged"].matches(event("s3", "PutBucketPolicy", {"bucketName": "TrailBucket"})), False)
    expect("no role", elsewhere["RolesChanged"].matches(event("iam", "DeleteRole", {"roleName": "TrailRole"})), False)
    print(f"alarms: {judged} calls judged, {faults} faults")
    sys.exit(1 if faults else 0)


main()
