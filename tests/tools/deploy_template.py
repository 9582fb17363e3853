"""Reads the templates of deploy/cloudformation and resolves them with sample parameters.

With cfn-lint's own decoder (PyPI, cfn-lint; the version is in deploy.sh). What a template does not take is
`Refused`; a function or a name that is unknown here is an error.
"""

import hashlib
import pathlib
import re

from cfnlint.decode import cfn_yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/cloudformation"
CUSTODY, WATCH, NODE = FOLDER / "custody.yaml", FOLDER / "watch.yaml", FOLDER / "node.yaml"
RECOVERY, ENDPOINTS = FOLDER / "recovery.yaml", FOLDER / "endpoints.yaml"

ACCOUNT = "000000000000"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/operator"
PARENT = f"arn:aws:iam::{ACCOUNT}:role/cofferdam-laptop-parent"
COPIER = f"arn:aws:iam::{ACCOUNT}:role/cofferdam-laptop-copier"
REPLICATION = f"arn:aws:iam::{ACCOUNT}:role/cofferdam-laptop-replication"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
OTHER_KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/66666666-7777-8888-9999-000000000000"
MULTI_REGION_KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/mrk-{'1234abcd' * 4}"
CLUSTER = f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/custody"
STORE = "arn:aws:s3:::store"
ATTRIBUTES = {
    "ParentRole.Arn": PARENT,
    "CopierRole.Arn": COPIER,
    "ReplicationRole.Arn": REPLICATION,
    "Key.Arn": KEY,
    "Store.Arn": STORE,
    "ParentLog.Arn": f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:parent:*",
}
NAMES = {"ParentRole": "cofferdam-laptop-parent", "Key": KEY.rpartition("/")[2], "Store": "store"}
PARAMETERS = {"Deployment": "laptop", "AdminRole": "operator", "RetentionDays": "400"}
IMAGES = [["a0" * 48, "a1" * 48, "a2" * 48], ["b0" * 48, "b1" * 48, "b2" * 48]]
INSTANCES = ["i-0123456789abcdef0", "i-0fedcba9876543210"]
ENDPOINT = "vpce-0123456789abcdef0"


def measured(text):
    """PCR3 of a role, PCR4 of an instance (AWS: Nitro Enclaves User Guide, "Where to get an enclave's measurements")."""
    return hashlib.sha384(bytes(48) + text.encode()).hexdigest()


PINS = {
    "InstanceRoleRegister": measured(PARENT),
    "InstanceRegister": ",".join(map(measured, INSTANCES)),
    "KmsEndpoint": ENDPOINT,
}
NOTHING = object()


class Refused(Exception):
    """CloudFormation would not take these parameters; which, or which rule."""


class Template:
    """A template and values for its parameters. A function that is unknown here is an error."""

    def __init__(self, path, values):
        self.body = plain(cfn_yaml.load(str(path)))
        self.values = {}
        if unknown := set(values) - set(self.body["Parameters"]):
            raise ValueError(f"{path.name}: {sorted(unknown)}")
        for name, parameter in self.body["Parameters"].items():
            value = values.get(name, parameter.get("Default"))
            if value is None:
                raise ValueError(f"{path.name}: a value for {name} was expected")
            if not takes(parameter, value):
                raise Refused(name)
            many = parameter["Type"] == "CommaDelimitedList" or parameter["Type"].startswith("List<")
            self.values[name] = value.split(",") if many else str(value)
        self.values |= {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": "eu-central-1"}
        for name, rule in self.body.get("Rules", {}).items():
            if self.condition(rule["RuleCondition"]):
                if not all(self.condition(one["Assert"]) for one in rule["Assertions"]):
                    raise Refused(name)

    def ref(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in self.values:
            return self.values[name]
        if name in self.body["Resources"]:
            return NAMES.get(name, name)
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
                case "Fn::Base64":
                    return argument
                case "Fn::If":
                    chosen = self.condition(self.body["Conditions"][argument[0]])
                    return self.resolve(argument[1 if chosen else 2])
        if any(name.startswith("Fn::") for name in value):
            raise ValueError(sorted(value))
        members = {name: self.resolve(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not NOTHING}

    def exists(self, resource):
        condition = self.body["Resources"][resource].get("Condition")
        return condition is None or self.condition({"Condition": condition})

    def property(self, resource, name):
        return self.resolve(self.body["Resources"][resource]["Properties"][name])


def plain(value):
    if isinstance(value, dict):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def takes(parameter, value):
    """Whether a parameter takes a value; of a list, each item (AWS: CloudFormation User Guide, "Parameters")."""
    value = str(value)
    if value not in parameter.get("AllowedValues", [value]):
        return False
    if parameter["Type"] == "Number":
        return float(parameter.get("MinValue", value)) <= float(value) <= float(parameter.get("MaxValue", value))
    items = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
    pattern = parameter.get("AllowedPattern")
    return pattern is None or all(re.fullmatch(pattern, item) for item in items)


def refused(path, values):
    """By which parameter or rule; None if it is taken."""
    try:
        Template(path, values)
    except Refused as error:
        return str(error)
    return None


def registers(images):
    return {f"Pcr{n}": ",".join(image[n] for image in images) for n in range(3)} if images else {}


def custody(images, **values):
    return Template(CUSTODY, PARAMETERS | registers(images) | values)


def recovery(images, **values):
    """Resolved as if its roles and names were those of custody.yaml, so that the two can be compared."""
    given = {"PrimaryKeyArn": MULTI_REGION_KEY, "SourceBucket": "other-store"}
    return Template(RECOVERY, PARAMETERS | given | registers(images) | values)


def watch(key=KEY, **values):
    given = {"Deployment": "laptop", "AdminRole": "operator", "ParentRole": "cofferdam-laptop-parent"}
    given |= {"ParentLog": "/cofferdam/laptop/parent", "KeyArn": key, "StoreUrl": "s3://store"}
    return Template(WATCH, given | values)


NODE_VALUES = {
    "Deployment": "laptop", "ParentRole": "cofferdam-laptop-parent", "AlarmTopic": "topic", "VpcId": "vpc-1",
    "SubnetId": "subnet-1", "AvailabilityZone": "eu-central-1a", "ImageId": "ami-1", "ClientSecurityGroup": "sg-1",
}


def node(**values):
    return Template(NODE, NODE_VALUES | values)


def endpoints(key=KEY, **values):
    given = {"Deployment": "laptop", "ParentRole": "cofferdam-laptop-parent", "KeyArn": key, "StoreUrl": "s3://store"}
    given |= {"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "RouteTableIds": "rtb-1,rtb-2"}
    return Template(ENDPOINTS, given | values)
