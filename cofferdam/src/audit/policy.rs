//! The policy in force: its hash, as the enclave's own document names it, and who signed it.

use data_encoding::HEXLOWER;

use super::{Audit, Looked, report::Section, words::moment_of};
use crate::{clock, error::Error, policy, shell::quoted_path};
use verifier::Refused;

/// Verifies the envelope and compares its hash with the attested one.
pub(super) fn look(audit: &mut Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    let Some(file) = &audit.args.policy else {
        return Ok(Looked::Missing("no policy was given: give --policy".to_owned()));
    };
    let (Some(measured), Some(config)) = (&audit.measured, &audit.args.config) else {
        return Ok(Looked::Missing("it is not known who may sign: give --config".to_owned()));
    };
    audit.inputs.file("--policy", file)?;
    section.repeat(
        "Verify the signatures again",
        format!("cofferdam policy verify {} --config {}", quoted_path(file), quoted_path(config)),
    );
    section.repeat("Read the rules", format!("cofferdam policy show {}", quoted_path(file)));
    let signed = policy::signed(file, measured, clock::now())?;
    let named = &signed.named;
    section.fact("Version", named.version.to_string());
    section.fact("Valid", format!("{} to {}", moment_of(&named.not_before), moment_of(&named.not_after)));
    section.exact("Rules, SHA-256", &named.sha256);
    section.fact("Signatures", format!("{} of at least {}", signed.signers.len(), signed.threshold));
    for signer in &signed.signers {
        section.exact("Signed by", signer);
    }
    for warning in &signed.warnings {
        section.fact("To be known", warning);
    }
    let Some(attested) = &audit.attested else {
        let text = "the rules are signed, but there is no verified enclave that says which rules it follows";
        return Ok(Looked::Missing(text.to_owned()));
    };
    let Some(active) = &attested.binding.policy else {
        return Err(Refused::new("policy", "a policy in force was expected: the enclave has none").into());
    };
    let found = (active.version, HEXLOWER.encode(active.sha256.as_slice()));
    section.exact("The enclave names", &found.1);
    if found == (named.version, named.sha256.clone()) {
        Ok(Looked::Whole)
    } else {
        let text = format!(
            "version {} with SHA-256 {} was expected in force, the enclave names version {} with {}",
            named.version, named.sha256, found.0, found.1
        );
        Err(Refused::new("policy", text).into())
    }
}
