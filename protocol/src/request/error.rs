//! Why a request is not believed. Every reason has a stable tag, for programs and for the log; the texts
//! say what was expected and never repeat anything of the request.

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A header that every request carries is missing or empty: the request is not signed.
    #[error("the header {0} was expected")]
    Missing(&'static str),
    /// Something is not in the one form that is read.
    #[error("{0} was expected")]
    Malformed(&'static str),
    /// Something is longer than its bound.
    #[error("{field}: at most {most} bytes were expected")]
    TooLong {
        /// What.
        field: &'static str,
        /// Its bound.
        most: usize,
    },
    /// The signature covers too little, too much, or something in a way that is not read.
    #[error(
        "covered components \"@method\", \"@path\", \"content-digest\", and \"@query\" where there is a query, \
         each once, without parameters and no other, were expected"
    )]
    Components,
    /// The signature names another algorithm.
    #[error("alg=\"ed25519\" was expected")]
    Algorithm,
    /// The body is not the one that was signed, or its digest is not one that is read.
    #[error("Content-Digest: {0} was expected")]
    Digest(&'static str),
    /// The signature is for another deployment or protocol. See [`super::RequestSignature::expect_tag`].
    #[error("the tag of this deployment was expected")]
    Tag,
    /// No client has this `keyid`. For the caller, who knows the clients.
    #[error("the keyid of a client of the policy was expected")]
    Client,
    /// The signature is not the client's over this request.
    #[error("a signature by the client's key over this request was expected")]
    Signature,
    /// Signed too long ago.
    #[error("created: a time that is at most {past_seconds} s ago was expected")]
    Stale {
        /// How long ago it may be.
        past_seconds: u64,
    },
    /// Signed at a time that is still to come.
    #[error("created: a time that is at most {future_seconds} s ahead was expected")]
    Future {
        /// How far ahead it may be.
        future_seconds: u64,
    },
    /// The time that the client set has passed.
    #[error("expires: a time that is still to come was expected")]
    Expired,
    /// The client used this nonce before.
    #[error("a nonce that was not used before was expected")]
    Replayed,
    /// No nonce can be remembered until older ones are forgotten.
    #[error("fewer requests within the clock window were expected: try again later")]
    Busy,
}

impl RequestError {
    /// The stable reason.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Missing(_) => "auth.missing",
            Self::Malformed(_) | Self::TooLong { .. } => "auth.malformed",
            Self::Components => "auth.components",
            Self::Algorithm => "auth.algorithm",
            Self::Digest(_) => "auth.digest",
            Self::Tag => "auth.tag",
            Self::Client => "auth.client",
            Self::Signature => "auth.signature",
            Self::Stale { .. } => "auth.stale",
            Self::Future { .. } => "auth.future",
            Self::Expired => "auth.expired",
            Self::Replayed => "auth.replayed",
            Self::Busy => "auth.busy",
        }
    }
}
