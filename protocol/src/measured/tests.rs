use super::*;

const ROOT: &str = include_str!("../../../tests/vectors/attestation/aws-nitro-root-g1.pem");

fn sample() -> String {
    format!(
        r#"
version = 1
deployment = "laptop"
activation = "policy"
[network]
listen = "vsock://any:5000"
kms_egress = "vsock://3:8443"
[kms]
region = "us-east-1"
keys = ["arn:aws:kms:us-east-1:000000000000:key/a", "arn:aws:kms:us-east-1:000000000000:key/b"]
trust_anchors = """
{ROOT}"""
[operators.policy]
threshold = 1
keys = ["ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]
[operators.freeze]
threshold = 1
keys = ["ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]
[bitcoin]
network = "mainnet"
"#
    )
}

fn parse(text: &str) -> Result<MeasuredConfig, ConfigError> {
    MeasuredConfig::parse(text.as_bytes())
}

#[test]
fn a_configuration_is_read_and_hashed() {
    let config = parse(&sample()).unwrap();
    assert_eq!(config.limits(), &Limits::default());
    assert_eq!((config.kms().keys.len(), config.network().parent_cid), (2, 3));
    let elsewhere =
        sample().replace("vsock://3:", "vsock://2:").replace("[network]", "[network]\nparent_cid = 2");
    assert_eq!(parse(&elsewhere).unwrap().network().parent_cid, 2);
    assert_ne!(config.sha384(), parse(&format!("{} ", sample())).unwrap().sha384());
}

#[test]
fn a_key_opens_what_it_wrapped_and_what_the_same_key_of_another_region_did_and_nothing_else() {
    let multi = "arn:aws:kms:us-east-1:000000000000:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    let single = "arn:aws:kms:us-east-1:000000000000:key/a";
    let config = parse(&sample().replace("arn:aws:kms:us-east-1:000000000000:key/b", multi)).unwrap();
    let kms = config.kms();
    for own in [single, multi] {
        assert_eq!(kms.key_for(own), Some(own));
    }
    assert_eq!(kms.key_for(&multi.replace("us-east-1", "eu-west-1")), Some(multi));
    for other in [
        &single.replace("us-east-1", "eu-west-1"),
        &single.replace("key/a", "key/b"),
        &multi.replace("90ab", "90ac"),
        &multi.replace("000000000000", "000000000001"),
        "a",
        "",
    ] {
        assert_eq!(kms.key_for(other), None, "{other}");
    }
}

#[test]
fn keys_are_of_the_region_and_of_its_partition() {
    let arn = |partition: &str, region: &str| format!("arn:{partition}:kms:{region}:");
    let config = |partition: &str, region: &str, in_region: &str| {
        let keys = sample().replace("arn:aws:kms:us-east-1:", &arn(partition, region));
        parse(&keys.replace("region = \"us-east-1\"", &format!("region = \"{in_region}\"")))
    };
    for (partition, region) in
        [("aws", "eu-central-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]
    {
        let read = config(partition, region, region).unwrap();
        assert_eq!(read.kms().region.partition().as_str(), partition);
    }
    for (found, expected) in [
        (("aws", "cn-north-1"), ("aws-cn", "cn-north-1")),
        (("aws-cn", "us-east-1"), ("aws", "us-east-1")),
        (("aws", "us-gov-west-1"), ("aws-us-gov", "us-gov-west-1")),
        (("aws-us-gov", "eu-central-1"), ("aws", "eu-central-1")),
        (("aws", "us-east-1"), ("aws", "us-east-2")),
    ] {
        let error = config(found.0, found.1, expected.1).unwrap_err().to_string();
        let (expected, found) = (arn(expected.0, expected.1), arn(found.0, found.1));
        let text = format!("ARNs that begin with {expected} were expected, found {found}");
        assert!(error.ends_with(&text), "{error}");
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_it_and_its_line() {
    let text = sample().replace("version = 1", "version = 1\nsimulate = true");
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.contains("simulate") && error.contains("line 3"), "{error}");
}

#[test]
fn values_that_make_no_sense_are_errors() {
    for (from, to) in [
        ("version = 1", "version = 2"),
        ("\"laptop\"", "\"Lap Top\""),
        ("\"policy\"", "\"none\""),
        ("vsock://3:8443", "tcp://3:8443"),
        ("region = \"us-east-1\"", "region = \"eu-central-1\""),
        ("region = \"us-east-1\"", "region = \"us-iso-east-1\""),
        ("region = \"us-east-1\"", "region = \"\""),
        ("vsock://3:8443", "vsock://2:8443"),
        ("vsock://3:8443", "vsock-uds://vm.sock:8443"),
        ("vsock://any:5000", "vsock-uds://vm.sock:5000"),
        ("[network]", "[network]\nparent_cid = 2"),
        ("[network]", "[network]\nparent_cid = -1"),
        (":key/a", ":alias/a"),
        (":key/a", ":key/b"),
        (":key/a", ":key/a:b"),
        ("arn:aws:kms:us-east-1:000000000000:key/a", "arn:x:key/:kms:us-east-1:"),
        (":000000000000:", ":0:"),
        ("-----BEGIN", "-----BEGAN"),
        ("threshold = 1", "threshold = 2"),
        ("threshold = 1", "threshold = 0"),
        ("threshold = 1", "threshold = 1\nmore = 1"),
        ("[operators.freeze]", "[operators.thaw]"),
        ("[\"ed25519", "[\"ed25518"),
        ("\"laptop\"", "\"Laptop\""),
        ("ed25519:d7", "ed25519:D7"),
        ("\"mainnet\"", "\"moon\""),
        ("[bitcoin]", "[limits]\ndata_key_records = 0\n[bitcoin]"),
        ("[bitcoin]", "[limits]\nin_flight_bytes = 4194303\n[bitcoin]"),
    ] {
        let text = sample().replacen(from, to, 1);
        assert!(parse(&text).is_err(), "{from} → {to}");
    }
    assert!(MeasuredConfig::parse(&[0xff]).is_err());
    assert!(MeasuredConfig::parse(&vec![b'#'; MAX_CONFIG + 1]).is_err());
}
