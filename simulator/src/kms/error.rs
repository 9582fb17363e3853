//! The errors that AWS KMS answers: type, HTTP status and text. Source: AWS KMS API Reference,
//! "Common errors" and the errors of each operation.

use axum::http::StatusCode;
use kms_policies::PolicyError;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Policies do not allow it.
    #[error("User: {caller} is not authorized to perform: {action}{resource} {why}")]
    AccessDenied { caller: String, action: String, resource: String, why: &'static str },
    /// Decrypt of a blob whose key is not here. AWS does not say which of the reasons it is.
    #[error(
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
    )]
    CiphertextRefers,
    /// An enclave in debug mode.
    #[error("The attestation document is of an enclave in debug mode, whose PCRs are zero.")]
    DebugEnclave,
    /// The key is disabled.
    #[error("{0} is disabled.")]
    Disabled(String),
    /// The ciphertext is under another key than the one named.
    #[error("The key ID in the request does not identify a CMK that can perform this operation.")]
    IncorrectKey,
    /// Changed, of another format, or with another encryption context.
    #[error("")]
    InvalidCiphertext,
    /// No such key or policy.
    #[error("{0}")]
    NotFound(String),
    /// A related key is in that region already.
    #[error("{0}")]
    AlreadyExists(String),
    /// Not a policy that can be evaluated.
    #[error("Policy contains a statement that is not valid: {0}")]
    MalformedPolicy(#[from] PolicyError),
    /// The caller would lock itself out.
    #[error("The new key policy will not allow you to update the key policy in the future.")]
    Lockout,
    /// A parameter outside its constraints.
    #[error("1 validation error detected: {0}")]
    Validation(String),
    /// Not the JSON of the operation's input.
    #[error("{0}")]
    Serialization(&'static str),
    /// A kind of key that this KMS does not have.
    #[error("{0}")]
    UnsupportedOperation(&'static str),
    /// An algorithm that the key does not have.
    #[error("{0}")]
    InvalidKeyUsage(String),
    /// No such operation.
    #[error("")]
    UnknownOperation,
    /// Everything was right, and `DryRun` was set.
    #[error("The request would have succeeded, but the DryRun option is set.")]
    DryRun,
    /// A fault on demand.
    #[error("Rate exceeded")]
    Throttling,
    /// A fault on demand, or of the state file.
    #[error("The request failed because of an internal error.")]
    Internal,
    /// A fault on demand.
    #[error("The service is temporarily unavailable.")]
    Unavailable,
    /// Beyond the body's limit.
    #[error("The request is too large.")]
    TooLarge,
    /// No signature.
    #[error("Missing Authentication Token")]
    MissingToken,
    /// A signature of another form.
    #[error("{0}")]
    IncompleteSignature(String),
    /// A signature that is not the access key's.
    #[error("{0}")]
    InvalidSignature(String),
    /// An access key or session token that nobody has.
    #[error("The security token included in the request is invalid.")]
    UnrecognizedClient,
    /// An access key that has ended.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
}

impl Refusal {
    /// The exception's name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::AccessDenied { .. } | Self::CiphertextRefers | Self::DebugEnclave => {
                "AccessDeniedException"
            }
            Self::Disabled(_) => "DisabledException",
            Self::IncorrectKey => "IncorrectKeyException",
            Self::InvalidCiphertext => "InvalidCiphertextException",
            Self::AlreadyExists(_) => "AlreadyExistsException",
            Self::NotFound(_) => "NotFoundException",
            Self::MalformedPolicy(_) | Self::Lockout => "MalformedPolicyDocumentException",
            Self::Validation(_) => "ValidationException",
            Self::Serialization(_) => "SerializationException",
            Self::UnsupportedOperation(_) => "UnsupportedOperationException",
            Self::InvalidKeyUsage(_) => "InvalidKeyUsageException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::DryRun => "DryRunOperationException",
            Self::Throttling => "ThrottlingException",
            Self::Internal => "KMSInternalException",
            Self::Unavailable => "ServiceUnavailableException",
            Self::TooLarge => "RequestEntityTooLargeException",
            Self::MissingToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature(_) => "IncompleteSignatureException",
            Self::InvalidSignature(_) => "InvalidSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
        }
    }

    /// 400 for nearly everything, as AWS.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::DryRun => StatusCode::PRECONDITION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The body: `message` for KMS's own exceptions, `Message` for denials, nothing where AWS
    /// says nothing.
    pub(crate) fn body(&self) -> serde_json::Value {
        let name = if self.code() == "AccessDeniedException" { "Message" } else { "message" };
        match self.to_string() {
            empty if empty.is_empty() => serde_json::json!({ "__type": self.code() }),
            text => serde_json::json!({ "__type": self.code(), name: text }),
        }
    }

    /// AWS's form for a member outside its constraints.
    pub(crate) fn constraint(member: &str, constraint: &str) -> Self {
        Self::Validation(format!("Value at '{member}' failed to satisfy constraint: {constraint}"))
    }
}
