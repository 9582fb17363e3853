#!/usr/bin/env python3
"""Makes events of CloudTrail in the form of AWS's documentation, and what is to be found in them.

    python tests/vectors/cloudtrail/make.py tests/vectors/cloudtrail

Python's standard library alone. Which page each event follows is in README.md. Registers, module, times and deployment
are those of tests/vectors/log, whose entries account for the events that are explained.
"""
import base64
import gzip
import hashlib
import io
import json
import pathlib
import shutil
import sys

ACCOUNT = "111122223333"
REGION = "eu-central-1"
KEY_ID = "mrk-1234abcd12ab34cd56ef1234567890ab"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
REPLICA = KEY.replace(REGION, "eu-west-1")
OTHER = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0987dcba-09fe-87dc-65ba-ab0987654321"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service/parent"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/key-admin"
MODULE = "i-0123456789abcdef0-enc0123456789abcdef"
PCRS = {n: hashlib.sha384(b"pcr %d" % n).digest() for n in range(3)}
CONTEXT = {"deployment": "vectors", "purpose": "sweep"}
AT_BOOT = "2026-01-01T00:00:00Z"


def event_id(name):
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def parent():
    return {
        "type": "AssumedRole", "principalId": "EX_ROLE_ID:i-0123456789abcdef0",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/parent/i-0123456789abcdef0", "accountId": ACCOUNT,
        "accessKeyId": "EXAMPLE_KEY_ID",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "EX_ROLE_ID", "arn": ROLE, "accountId": ACCOUNT,
                              "userName": "parent"},
            "attributes": {"creationDate": "2025-12-31T23:59:00Z", "mfaAuthenticated": "false"},
            "ec2RoleDelivery": "2.0",
        },
    }


def user(name="Mallory"):
    return {"type": "IAMUser", "principalId": "EX_PRINCIPAL_ID", "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
            "accountId": ACCOUNT, "accessKeyId": "EXAMPLE_KEY_ID", "userName": name}


def internal():
    return {"accountId": ACCOUNT, "invokedBy": "AWS Internal"}


def recipient(pcrs=None, module=MODULE, spell=lambda pcr: base64.b64encode(pcr).decode()):
    pcrs = {**PCRS, 3: hashlib.sha384(b"role").digest(), 4: hashlib.sha384(b"instance").digest(), 8: bytes(48),
            **(pcrs or {})}
    fields = {"attestationDocumentModuleId": module, "attestationDocumentEnclaveImageDigest": spell(pcrs[0])}
    fields.update({f"attestationDocumentEnclavePCR{n}": spell(pcrs[n]) for n in (1, 2, 3, 4, 8)})
    return fields


def call(label, name, who, parameters, key=KEY, time="2026-01-01T00:30:00Z", **more):
    event = {
        "eventVersion": "1.11", "userIdentity": who, "eventTime": time, "eventSource": "kms.amazonaws.com",
        "eventName": name, "awsRegion": REGION, "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-sdk-rust/1 os/linux", "requestParameters": parameters, "responseElements": None,
        "requestID": event_id("request " + label), "eventID": event_id(label), "readOnly": name != "PutKeyPolicy",
        "resources": [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}] if key else [],
        "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }
    event.update(more)
    return event


def attested(label, name, parameters=None, shown=None, **more):
    parameters = {"keyId": KEY, "encryptionContext": CONTEXT, **(parameters or {})}
    extra = {"keyMaterialId": hashlib.sha256(b"material").hexdigest(), "recipient": shown or recipient()}
    return call(label, name, more.pop("who", parent()), parameters, time=more.pop("time", AT_BOOT),
                additionalEventData=extra,
                tlsDetails={"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
                            "clientProvidedHostHeader": f"kms.{REGION}.amazonaws.com"}, **more)


EXPLAINED = [
    attested("generate", "GenerateDataKey", {"keySpec": "AES_256"}),
    attested("decrypt", "Decrypt", {"encryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
    # A replica of the multi-Region key is the same key.
    attested("decrypt in a replica", "Decrypt", {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": REPLICA},
             awsRegion="eu-west-1", resources=[{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": REPLICA}]),
    # As older examples of the documentation spell registers.
    attested("decrypt in hex", "Decrypt", shown=recipient(spell=bytes.hex), eventVersion="1.05"),
]


def denied(action, who):
    return {"errorCode": "AccessDenied",
            "errorMessage": f"User: {who['arn']} is not authorized to perform: kms:{action} on resource: {KEY} "
                            "because no resource-based policy allows the action"}


PLAIN = {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": KEY, "encryptionContext": CONTEXT}
BARE = {"keyId": KEY_ID}
# An event, and the finding that it is.
FOUND = [
    (call("plain decrypt", "Decrypt", user(), PLAIN), "trail.unattested", "critical"),
    (call("plain decrypt by the parent", "Decrypt", parent(), PLAIN), "trail.unattested", "critical"),
    (call("plain generate", "GenerateDataKey", user(), {**BARE, "keySpec": "AES_256"}),
     "trail.unattested", "critical"),
    (call("wrong key", "Decrypt", user(), PLAIN, errorCode="IncorrectKeyException",
          errorMessage="The key ID in the request does not identify a CMK that can perform this operation."),
     "trail.unattested", "medium"),
    (call("denied", "Decrypt", user(), PLAIN, **denied("Decrypt", user())), "trail.unattested", "medium"),
    (call("denied parent", "Decrypt", parent(), PLAIN, **denied("Decrypt", parent())), "trail.unattested", "medium"),
    (call("of a service", "Decrypt",
          {"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}, PLAIN,
          sourceIPAddress="cloudtrail.amazonaws.com", userAgent="cloudtrail.amazonaws.com"),
     "trail.unattested", "critical"),
    (call("of another account", "Decrypt",
          {"type": "AWSAccount", "principalId": "EX_PRINCIPAL_ID", "accountId": "444455556666"}, PLAIN,
          sharedEventID=event_id("shared")), "trail.unattested", "critical"),
    (call("encrypt", "Encrypt", user(), PLAIN), "trail.unattested", "medium"),
    (call("reencrypt", "ReEncrypt", user(),
          {"sourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "destinationKeyId": OTHER,
           "destinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
          resources=[{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key} for key in (KEY, OTHER)]),
     "trail.unattested", "critical"),
    (attested("debug", "Decrypt", shown=recipient({n: bytes(48) for n in range(3)})),
     "trail.debug-image", "critical"),
    (attested("another image", "Decrypt", shown=recipient({0: hashlib.sha384(b"another").digest()})),
     "trail.other-image", "critical"),
    (attested("a NitroTPM", "Decrypt",
              shown={"attestationDocumentModuleId": "i-0123456789abcdef0-tpm0000000000000000",
                     **{f"attestationDocumentNitroTPMPCR{n}": base64.b64encode(bytes(48)).decode()
                        for n in (4, 7, 8, 9, 16, 23)}}), "trail.other-image", "critical"),
    (attested("a key pair", "GenerateDataKeyPair", {"keyPairSpec": "RSA_3072"}), "trail.operation", "high"),
    (call("policy", "PutKeyPolicy", user(),
          {**BARE, "policyName": "default", "policy": "{}", "bypassPolicyLockoutSafetyCheck": False}, readOnly=False),
     "trail.control", "critical"),
    (call("policy by the admin", "PutKeyPolicy", user("key-admin"),
          {**BARE, "policyName": "default", "policy": "{}", "bypassPolicyLockoutSafetyCheck": False}, readOnly=False),
     "trail.control", "info"),
    (call("grant", "CreateGrant", user(),
          {"keyId": KEY, "granteePrincipal": f"arn:aws:iam::{ACCOUNT}:role/x", "operations": ["Decrypt"],
           "constraints": {"encryptionContextSubset": CONTEXT}}, responseElements={"grantId": "f020fe", "keyId": KEY},
          readOnly=False), "trail.control", "critical"),
    (call("deletion", "ScheduleKeyDeletion", user(), {**BARE, "pendingWindowInDays": 20},
          responseElements={"keyId": KEY, "keyState": "PendingDeletion", "deletionDate": "Jan 21, 2026 12:00:00 AM"},
          readOnly=False), "trail.control", "high"),
    (call("disable", "DisableKey", user(), BARE, readOnly=False), "trail.control", "high"),
    (call("alias", "UpdateAlias", user(), {"aliasName": "alias/deposits", "targetKeyId": KEY_ID}, readOnly=False,
          resources=[{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": arn}
                     for arn in (f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/deposits", KEY)]), "trail.control", "medium"),
    (call("replicate", "ReplicateKey", user(),
          {**BARE, "replicaRegion": "us-west-2", "bypassPolicyLockoutSafetyCheck": False, "description": ""},
          responseElements={"replicaKeyMetadata": {"arn": KEY.replace(REGION, "us-west-2"), "multiRegion": True},
                            "replicaPolicy": "{}"}, readOnly=False), "trail.control", "critical"),
    (call("denied policy", "PutKeyPolicy", user(), None, **denied("PutKeyPolicy", user()), readOnly=False),
     "trail.denied", "medium"),
    (call("rotation", "RotateKey", internal(), None, eventType="AwsServiceEvent", sourceIPAddress="AWS Internal",
          userAgent="AWS Internal", serviceEventDetails={"rotationType": "AUTOMATIC", "keyId": KEY_ID},
          readOnly=False), "trail.service", "info"),
    (call("synchronization", "SynchronizeMultiRegionKey", internal(), None, sourceIPAddress="AWS Internal",
          userAgent="AWS Internal", readOnly=False), "trail.service", "info"),
    (call("gone", "DeleteKey", internal(), None, eventType="AwsServiceEvent", sourceIPAddress="AWS Internal",
          userAgent="AWS Internal", serviceEventDetails={"keyId": KEY_ID}, readOnly=False), "trail.service", "high"),
    (call("describe", "DescribeKey", user("key-admin"), BARE), "trail.read", "info"),
    (call("tomorrow", "DecryptMany", user(), BARE), "trail.unknown", "medium"),
    (call("by alias", "Decrypt", user(), {"keyId": "alias/deposits"}, key=None, **denied("Decrypt", user())),
     "trail.no-key", "low"),
    (call("stop", "StopLogging", user("key-admin"), {"name": "arn:aws:cloudtrail:eu-central-1:111122223333:trail/all"},
          key=None, eventSource="cloudtrail.amazonaws.com", readOnly=False), "trail.stopped", "high"),
    # Nothing to be found.
    (call("another key", "Decrypt", user(), {**PLAIN, "keyId": OTHER}, key=OTHER), None, None),
    (call("random", "GenerateRandom", user(), None, key=None), None, None),
    (call("list", "ListKeys", user(), None, key=None), None, None),
    (call("another service", "GetObject", user(), {"bucketName": "blobs"}, key=None, eventSource="s3.amazonaws.com"),
     None, None),
]


def write(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n")


def main():
    out = pathlib.Path(sys.argv[1])
    folder = out / "AWSLogs" / ACCOUNT / "CloudTrail" / REGION / "2026/01/01"
    shutil.rmtree(out / "AWSLogs", ignore_errors=True)
    folder.mkdir(parents=True)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as file:
        file.write(json.dumps({"Records": EXPLAINED}, separators=(",", ":")).encode())
    (folder / f"{ACCOUNT}_CloudTrail_{REGION}_20260101T0005Z_1x2y3z4a5b6c7d8e.json.gz").write_bytes(packed.getvalue())
    digests = out / "AWSLogs" / ACCOUNT / "CloudTrail-Digest" / REGION / "2026/01/01"
    digests.mkdir(parents=True)
    write(digests / "digest.json", {"awsAccountId": ACCOUNT, "digestStartTime": AT_BOOT, "logFiles": []})

    wrapped = [{"EventId": event["eventID"], "EventName": event["eventName"], "ReadOnly": "true",
                "EventTime": event["eventTime"], "EventSource": event["eventSource"], "Username": "parent",
                "Resources": [{"ResourceType": "AWS::KMS::Key", "ResourceName": KEY}],
                "CloudTrailEvent": json.dumps(event)} for event in EXPLAINED]
    write(out / "lookup-events.json", {"Events": wrapped})
    write(out / "found.json", {"Records": [event for event, _, _ in FOUND]})
    write(out / "expected.json", {
        "key": KEY, "role": ROLE, "admin": ADMIN, "explained": [event["eventID"] for event in EXPLAINED],
        "found": {event["eventID"]: {"event": event["eventName"], "id": id, "severity": severity}
                  for event, id, severity in FOUND if id},
    })


if __name__ == "__main__":
    main()
