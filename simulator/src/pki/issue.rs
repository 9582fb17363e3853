//! What each certificate of the attestation path says. Shapes, lifetimes and extensions are those
//! of AWS's real paths (`tests/vectors/attestation`); names say that they are simulated.

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SerialNumber,
};
use time::OffsetDateTime;

use super::{Authority, PkiError};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY + 6 * HOUR;

/// From when to when, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A certificate below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Regional,
    Zonal,
    Instance,
    Leaf,
}

impl Level {
    pub(super) const ALL: [Self; 4] = [Self::Regional, Self::Zonal, Self::Instance, Self::Leaf];

    /// As AWS issues them: a little before now, so that no clock is behind.
    pub(super) const fn validity(self, now: u64) -> Validity {
        let (before, after) = match self {
            Self::Regional => (HOUR, 20 * DAY),
            Self::Zonal => (HOUR, 5 * DAY + 14 * HOUR),
            Self::Instance => (HOUR / 4, DAY - HOUR / 4),
            Self::Leaf => (3, 3 * HOUR),
        };
        Validity { from: now.saturating_sub(before), to: now.saturating_add(after) }
    }
}

/// Who the certificates are for.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) region: String,
    /// `i-` and 17 hexadecimal digits.
    pub(crate) instance: String,
    /// 16 hexadecimal digits.
    pub(crate) enclave: [u8; 8],
}

impl Subject {
    /// `i-…-enc…`, which documents carry as `module_id`.
    pub(crate) fn module_id(&self) -> String {
        format!("{}-enc{}", self.instance, hex(&self.enclave))
    }
}

/// The self-signed root: 30 years, any length below it.
pub(super) fn nsm_root(now: u64) -> Result<Authority, PkiError> {
    let validity =
        Validity { from: now.saturating_sub(HOUR / 2), to: now.saturating_add(30 * YEAR + HOUR / 2) };
    let mut params = authority(validity, BasicConstraints::Unconstrained)?;
    params.distinguished_name = short_name("simulated.nitro-enclaves".to_owned());
    Authority::new(&params, new_key()?)
}

pub(super) fn new_key() -> Result<KeyPair, PkiError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?)
}

/// What the certificate at `level` says, for a key that its issuer has just made.
pub(super) fn params(level: Level, subject: &Subject, now: u64) -> Result<CertificateParams, PkiError> {
    let validity = level.validity(now);
    let region = &subject.region;
    let mut params = match level {
        Level::Regional => authority(validity, BasicConstraints::Constrained(2))?,
        Level::Zonal => authority(validity, BasicConstraints::Constrained(1))?,
        Level::Instance => authority(validity, BasicConstraints::Constrained(0))?,
        Level::Leaf => base(validity)?,
    };
    params.use_authority_key_identifier_extension = level != Level::Leaf;
    let id = hex(&random::<8>()?);
    params.distinguished_name = match level {
        Level::Regional => short_name(format!("{id}.{region}.simulated.nitro-enclaves")),
        Level::Zonal => zonal_name(format!("{id}.zonal.{region}.simulated.nitro-enclaves")),
        Level::Instance => long_name(format!("{}.{region}.simulated.nitro-enclaves", subject.instance)),
        Level::Leaf => long_name(format!("{}.{region}.simulated", subject.module_id())),
    };
    match level {
        Level::Regional | Level::Zonal => params.crl_distribution_points.push(crl(region)?),
        Level::Instance => params.key_usages = vec![KeyUsagePurpose::KeyCertSign],
        Level::Leaf => leaf(&mut params, subject, validity),
    }
    Ok(params)
}

fn base(validity: Validity) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.not_before = time(validity.from)?;
    params.not_after = time(validity.to)?;
    // 16 bytes, positive, and never shorter.
    let mut serial = random::<16>()?;
    serial.iter_mut().take(1).for_each(|first| *first = (*first & 0x3f) | 0x40);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn authority(validity: Validity, constraints: BasicConstraints) -> Result<CertificateParams, PkiError> {
    let mut params = base(validity)?;
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// AWS's leaf has critical basicConstraints, an uncritical keyUsage and no key identifiers; its
/// serial number is the enclave's id and the time.
fn leaf(params: &mut CertificateParams, subject: &Subject, validity: Validity) {
    let mut constraints = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0x00]);
    constraints.set_criticality(true);
    // digitalSignature and nonRepudiation: the first two bits, six unused.
    let usage = CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![0x03, 0x02, 0x06, 0xc0]);
    params.custom_extensions = vec![constraints, usage];
    let seconds = u32::try_from(validity.from).unwrap_or(u32::MAX);
    let serial = [&subject.enclave[..], &[0; 4], &seconds.to_be_bytes()].concat();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
}

fn crl(region: &str) -> Result<CrlDistributionPoint, PkiError> {
    let id = hex(&random::<16>()?);
    let uri = format!("http://crl-{region}-simulated-nitro-enclaves.invalid/crl/{id}.crl");
    Ok(CrlDistributionPoint { uris: vec![uri] })
}

fn name(parts: &[(DnType, &str)], common: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in parts {
        name.push(kind.clone(), *value);
    }
    name.push(DnType::CommonName, common);
    name
}

fn short_name(common: String) -> DistinguishedName {
    use DnType::{CountryName, OrganizationName, OrganizationalUnitName};
    name(
        &[(CountryName, "US"), (OrganizationName, "Cofferdam"), (OrganizationalUnitName, "SIMULATED")],
        common,
    )
}

/// AWS's zonal certificates have the common name first.
fn zonal_name(common: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name.push(DnType::OrganizationalUnitName, "SIMULATED");
    name.push(DnType::OrganizationName, "Cofferdam");
    name.push(DnType::CountryName, "US");
    name.push(DnType::StateOrProvinceName, "WA");
    name.push(DnType::LocalityName, "Seattle");
    name
}

fn long_name(common: String) -> DistinguishedName {
    use DnType::{CountryName, LocalityName, OrganizationName, OrganizationalUnitName, StateOrProvinceName};
    name(
        &[
            (CountryName, "US"),
            (StateOrProvinceName, "Washington"),
            (LocalityName, "Seattle"),
            (OrganizationName, "Cofferdam"),
            (OrganizationalUnitName, "SIMULATED"),
        ],
        common,
    )
}

pub(super) fn time(seconds: u64) -> Result<OffsetDateTime, PkiError> {
    let seconds = i64::try_from(seconds).map_err(|_| rcgen::Error::Time)?;
    Ok(OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| rcgen::Error::Time)?)
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], PkiError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| PkiError::Crypto)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
