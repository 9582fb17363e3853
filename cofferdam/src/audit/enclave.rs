//! The running enclave: a document with a fresh nonce, verified to the root, of an accepted image,
//! binding a session key and the measured configuration.

use data_encoding::HEXLOWER;
use protocol::{SessionBinding, SessionKey};
use x509_cert::{Certificate, der::Decode};

use super::{
    Attested, Audit, Looked, no_image,
    report::{Section, Table},
    words::moment,
};
use crate::{
    attest::{self, Live},
    error::Error,
    shell::{quoted, quoted_path},
};
use verifier::Refused;

/// Asks and verifies.
pub(super) async fn look(audit: &mut Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    let Some(trust) = audit.trust()? else { return Ok(no_image()) };
    let (Some(client), Some(url)) = (&audit.client, &audit.args.url) else {
        return Ok(Looked::Missing("no running enclave was named: give --url".to_owned()));
    };
    let config = audit.args.config.as_ref();
    let config_option = config.map_or(String::new(), |file| format!(" --config {}", quoted_path(file)));
    section.repeat(
        "Ask for another document and verify it",
        format!(
            "cofferdam attestation fetch --url {} --out document.cose {}{config_option}",
            quoted(url.as_str().trim_end_matches('/')),
            audit.args.trust.arguments()
        ),
    );
    section.repeat(
        "Read it, certificate by certificate (docs/attestation.md, section 7: the same with openssl)",
        "cofferdam attestation show --document document.cose",
    );
    section.exact("Root certificate, SHA-256", trust.fingerprint());
    let live = attest::ask(&trust, client).await?;
    describe(&live, section)?;
    let (binding, session) = bound(&live)?;
    section.exact("Session key", format!("ed25519:{}", HEXLOWER.encode(session.verifying_key().as_bytes())));
    section.exact("Measured configuration, SHA-384", HEXLOWER.encode(binding.config.as_slice()));
    if let Some(file) = config {
        attest::check_config(&live.doc, &audit.inputs.read("--config", file)?)?;
        section.fact("Configuration", "the file of --config, byte for byte");
    } else {
        section.fact("Configuration", "not compared with a file: no --config was given");
    }
    audit.attested = Some(Attested { doc: live.doc, binding, session });
    Ok(Looked::Whole)
}

/// What the document says.
fn describe(live: &Live, section: &mut Section) -> Result<(), Refused> {
    let Live { doc, nonce, compared } = live;
    section.fact("Signed at", moment(doc.timestamp()));
    section.exact("Random number that it repeats", HEXLOWER.encode(nonce));
    section.exact("Document, SHA-256", doc.hash().to_string());
    section.fact("Hardware module", doc.module_id());
    for (index, pcr) in doc.pcrs().iter().filter(|(_, pcr)| !pcr.is_zero()) {
        let name = match (index.get(), compared.contains(index)) {
            (0, true) => "PCR0, as expected",
            (1, true) => "PCR1, as expected",
            (2, true) => "PCR2, as expected",
            (3, true) => "PCR3 (role), as expected",
            (4, true) => "PCR4 (instance), as expected",
            (8, true) => "PCR8 (signer), as expected",
            (0, false) => "PCR0, not compared",
            (1, false) => "PCR1, not compared",
            (2, false) => "PCR2, not compared",
            (3, false) => "PCR3 (role), not compared",
            (4, false) => "PCR4 (instance), not compared",
            (8, false) => "PCR8 (signer), not compared",
            (_, true) => "another PCR, as expected",
            (_, false) => "another PCR, not compared",
        };
        section.exact(name, pcr.to_string());
    }
    section.tables.push(path(live)?);
    Ok(())
}

/// The certificates, from the root down.
fn path(live: &Live) -> Result<Table, Refused> {
    let ders = live.doc.cabundle().iter().map(Vec::as_slice).chain([live.doc.certificate()]);
    let row = |der: &[u8]| {
        let certificate = Certificate::from_der(der)
            .map_err(|_| Refused::new("path", "an X.509 certificate in DER was expected"))?;
        let tbs = certificate.tbs_certificate();
        let time = |time: &x509_cert::time::Time| {
            moment(time.to_unix_duration().as_millis().try_into().unwrap_or(u64::MAX))
        };
        let validity = tbs.validity();
        Ok(vec![tbs.subject().to_string(), time(&validity.not_before), time(&validity.not_after)])
    };
    Ok(Table {
        caption: "Certificates, from the root to the key that signed the document".to_owned(),
        columns: vec!["Subject", "Valid from", "Valid until"],
        rows: ders.map(row).collect::<Result<_, Refused>>()?,
    })
}

/// The session that the document binds.
fn bound(live: &Live) -> Result<(SessionBinding, SessionKey), Refused> {
    let binding = SessionBinding::decode(live.doc.user_data().unwrap_or_default())
        .map_err(|_| Refused::new("user_data", "user_data: a session binding of version 1 was expected"))?;
    let session = SessionKey::from_spki(live.doc.public_key().unwrap_or_default())
        .map_err(|error| Refused::new("public_key", error.to_string()))?;
    Ok((binding, session))
}
