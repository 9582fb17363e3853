//! Encrypt, Decrypt and GenerateDataKey.

use data_encoding::BASE64;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    api::{self, need},
    blob::{self, Blob, EncryptionContext},
    envelope::{self, ContentForm},
    error::Refusal,
    faults::Fault,
    keys::Key,
    log::Event,
    recipient::Attested,
    service::{Call, Service},
};

const MAX_PLAINTEXT: usize = 4096;
const MAX_CIPHERTEXT: usize = 6144;

impl Service {
    pub(super) fn encrypt(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        let name = need("keyId", &call.input.key_id)?;
        let plaintext = Zeroizing::new(api::bytes("plaintext", &call.input.plaintext, MAX_PLAINTEXT)?);
        let context = call.input.context()?;
        check_algorithm(call)?;
        self.store.read(|keys| {
            let key = self.find(keys, name)?;
            self.admit(call, event, key, &context, None)?;
            Ok(json!({
                "CiphertextBlob": BASE64.encode(&seal(key, &context, &plaintext)?),
                "KeyId": self.arn(key)?.as_str(),
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            }))
        })?
    }

    pub(super) fn decrypt(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        let ciphertext = api::bytes("ciphertextBlob", &call.input.ciphertext_blob, MAX_CIPHERTEXT)?;
        let context = call.input.context()?;
        check_algorithm(call)?;
        let attested = self.recipient(call, event)?;
        let blob = Blob::parse(&ciphertext).ok_or(Refusal::InvalidCiphertext)?;
        self.store.read(|keys| {
            let key = match &call.input.key_id {
                Some(name) => self.find(keys, name)?,
                None => keys.get(&self.account.region, blob.key_id).ok_or(Refusal::CiphertextRefers)?,
            };
            self.admit(call, event, key, &context, attested.as_ref())?;
            if key.id != blob.key_id {
                return Err(Refusal::IncorrectKey);
            }
            let material = key.material.get(&blob.version).ok_or(Refusal::InvalidCiphertext)?;
            let plaintext = blob.open(material, &context).ok_or(Refusal::InvalidCiphertext)?;
            let answer = json!({
                "KeyId": self.arn(key)?.as_str(),
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            });
            self.with_plaintext(call, answer, &plaintext, attested.as_ref())
        })?
    }

    pub(super) fn generate_data_key(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        let name = need("keyId", &call.input.key_id)?;
        let length = data_key_length(call)?;
        let context = call.input.context()?;
        let attested = self.recipient(call, event)?;
        self.store.read(|keys| {
            let key = self.find(keys, name)?;
            self.admit(call, event, key, &context, attested.as_ref())?;
            let mut data_key = Zeroizing::new(vec![0; length]);
            aws_lc_rs::rand::fill(&mut data_key).map_err(|_| Refusal::Internal)?;
            for fault in &call.faults {
                if let Fault::KnownDataKey { byte } = fault {
                    data_key.fill(*byte);
                }
            }
            let mut wrapped = data_key.clone();
            if call.faults.contains(&Fault::WrapAnotherDataKey) {
                aws_lc_rs::rand::fill(&mut wrapped).map_err(|_| Refusal::Internal)?;
            }
            let answer = json!({
                "CiphertextBlob": BASE64.encode(&seal(key, &context, &wrapped)?),
                "KeyId": self.arn(key)?.as_str(),
            });
            self.with_plaintext(call, answer, &data_key, attested.as_ref())
        })?
    }

    /// The policy's word, then the key's state, as AWS checks them.
    fn admit(
        &self,
        call: &Call<'_>,
        event: &mut Event,
        key: &Key,
        context: &EncryptionContext,
        attested: Option<&Attested>,
    ) -> Result<(), Refusal> {
        let arn = self.arn(key)?;
        event.resource(arn.as_str());
        self.authorize(call, key, Some(context), attested)?;
        if !key.enabled {
            return Err(Refusal::Disabled(arn.to_string()));
        }
        if call.input.dry_run { Err(Refusal::DryRun) } else { Ok(()) }
    }

    /// Adds the plaintext; or, for an enclave, only the envelope that it alone opens.
    fn with_plaintext(
        &self,
        call: &Call<'_>,
        mut answer: Value,
        plaintext: &[u8],
        attested: Option<&Attested>,
    ) -> Result<Value, Refusal> {
        let members = answer.as_object_mut().ok_or(Refusal::Internal)?;
        let in_base64 = || Value::from(BASE64.encode(plaintext));
        let Some(attested) = attested else {
            members.insert("Plaintext".into(), in_base64());
            return Ok(answer);
        };
        let form = if call.has(Fault::PrimitiveContent) { ContentForm::Primitive } else { self.form };
        let other_key = match call.has(Fault::SealForAnotherKey) {
            true => Some(attestation::RecipientKey::generate().map_err(|_| Refusal::Internal)?),
            false => None,
        };
        let public_key =
            other_key.as_ref().map_or(attested.public_key.as_slice(), attestation::RecipientKey::public_key);
        let envelope = envelope::seal(public_key, plaintext, form).map_err(|_| {
            let constraint =
                "Attestation document: an RSA public key of 2048, 3072 or 4096 bits was expected";
            Refusal::constraint("recipient.attestationDocument", constraint)
        })?;
        if !call.has(Fault::OmitCiphertextForRecipient) {
            members.insert("CiphertextForRecipient".into(), BASE64.encode(&envelope).into());
        }
        if call.has(Fault::LeakPlaintext) {
            members.insert("Plaintext".into(), in_base64());
        } else if call.has(Fault::EmptyPlaintext) {
            members.insert("Plaintext".into(), "".into());
        }
        Ok(answer)
    }
}

fn seal(key: &Key, context: &EncryptionContext, plaintext: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (version, material) = key.material.last_key_value().ok_or(Refusal::Internal)?;
    blob::seal(key.id, *version, material, context, plaintext).ok_or(Refusal::Internal)
}

fn check_algorithm(call: &Call<'_>) -> Result<(), Refusal> {
    match call.input.encryption_algorithm.as_deref() {
        None | Some("SYMMETRIC_DEFAULT") => Ok(()),
        Some(other) => Err(Refusal::InvalidKeyUsage(format!(
            "Algorithm {other} is incompatible with key spec SYMMETRIC_DEFAULT."
        ))),
    }
}

fn data_key_length(call: &Call<'_>) -> Result<usize, Refusal> {
    match (call.input.key_spec.as_deref(), call.input.number_of_bytes) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        (None, Some(count @ 1..=1024)) => usize::try_from(count).map_err(|_| Refusal::Internal),
        (Some(_), None) => {
            Err(Refusal::constraint("keySpec", "Member must satisfy enum value set: [AES_256, AES_128]"))
        }
        (None, Some(_)) => {
            Err(Refusal::constraint("numberOfBytes", "Member must have value between 1 and 1024"))
        }
        _ => Err(Refusal::Validation("Please specify either number of bytes or key spec.".to_owned())),
    }
}
