//! Writes the key policy of a deployment from a template beside this crate's manifest; `README.md`
//! there says what each statement is for. Values are put into parsed JSON, never into its text, so
//! that none of them can become a statement.

mod check;
mod fill;

use std::{fmt, str::FromStr};

use attestation::Pcr;

use crate::{arn::Arn, error::MAX_POLICY};

/// Why there is no policy for these parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Not an administrator.
    #[error("the ARN of an IAM role or user was expected as administrator; each once, and at least one")]
    Admin,
    /// Not a role.
    #[error("the ARN of an IAM role, other than the administrators, was expected for the enclave")]
    EnclaveRole,
    /// Not a role of its own.
    #[error(
        "the ARN of an IAM role, other than the administrators and the enclave's, was expected for recovery"
    )]
    RecoveryRole,
    /// Two accounts.
    #[error("administrators and roles of the same account and partition were expected")]
    Accounts,
    /// No image, or a debug one.
    #[error("at least one image was expected, and no PCR of zeroes: that is every enclave in debug mode")]
    Images,
    /// More or fewer images than the template is for.
    #[error("{0}")]
    Count(&'static str),
    /// No certificate, or an unsigned image.
    #[error("PCR8 of a signed image was expected: a register of zeroes is that of every unsigned one")]
    Signers,
    /// A name that a policy could take for more than a name.
    #[error("a deployment of 1 to 64 letters, digits, '.', '_' or '-' was expected")]
    Deployment,
    /// The template needs to know who recovers.
    #[error("a role and an image for recovery were expected")]
    Recovery,
    /// Not a region.
    #[error("a region of AWS was expected, such as eu-west-1")]
    Region,
    /// No role, or twice the same.
    #[error("the ARN of the role of an instance was expected to be pinned, each once")]
    InstanceRole,
    /// No instance, or twice the same.
    #[error("the id of an instance was expected to be pinned, each once, such as i-0123456789abcdef0")]
    Instance,
    /// No endpoint, or twice the same.
    #[error("the id of a VPC endpoint was expected to be pinned, each once, such as vpce-0123456789abcdef0")]
    Endpoint,
    /// Pins, where they would keep people from recovering.
    #[error("no pin was expected with the template recovery: its enclaves run elsewhere")]
    PinnedRecovery,
    /// Beyond what KMS takes.
    #[error("a policy of at most {MAX_POLICY} bytes was expected: name fewer images")]
    TooLong,
    /// The template is wrong; a fault of this program.
    #[error("a template was expected to hold known placeholders only")]
    Template,
}

/// No template has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("production, rotation, signed, recovery or freeze was expected")]
pub struct UnknownTemplate;

/// Which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// One image.
    Production,
    /// Several images, while one replaces the other.
    Rotation,
    /// Every image that the holder of a signing key signed.
    Signed,
    /// Production, and beside it a role that may decrypt with an image of its own.
    Recovery,
    /// Nobody uses the key.
    Freeze,
}

impl Template {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Production, Self::Rotation, Self::Signed, Self::Recovery, Self::Freeze];

    /// As the file is called, without `.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Rotation => "rotation",
            Self::Signed => "signed",
            Self::Recovery => "recovery",
            Self::Freeze => "freeze",
        }
    }

    /// The template. Strings of the form `{{name}}` stand for values.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Production => include_str!("../../production.json"),
            Self::Rotation => include_str!("../../rotation.json"),
            Self::Signed => include_str!("../../signed.json"),
            Self::Recovery => include_str!("../../recovery.json"),
            Self::Freeze => include_str!("../../freeze.json"),
        }
    }
}

impl FromStr for Template {
    type Err = UnknownTemplate;

    fn from_str(text: &str) -> Result<Self, UnknownTemplate> {
        Self::ALL.into_iter().find(|template| template.name() == text).ok_or(UnknownTemplate)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The measurements of one enclave image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Everything.
    pub pcr0: Pcr,
    /// Kernel, command line and first ramdisk.
    pub pcr1: Pcr,
    /// The application.
    pub pcr2: Pcr,
}

/// What a deployment's policy in production depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// A role or user: administration, no cryptography.
    pub admin: Arn,
    /// The role of the parent instances: data keys, for attested enclaves.
    pub enclave_role: Arn,
    /// One image; two while one replaces the other.
    pub images: Vec<Image>,
    /// The measured name of the deployment, which the encryption context carries.
    pub deployment: String,
}

/// Everything that templates depend on. What a template does not use is checked if it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// Roles or users: administration, no cryptography.
    pub admins: Vec<Arn>,
    /// The role of the parent instances. All templates but [`Template::Freeze`].
    pub enclave_role: Option<Arn>,
    /// The images that are let in: one in production, more during a rotation.
    pub images: Vec<Image>,
    /// PCR8 of the certificates whose images are let in. [`Template::Signed`].
    pub signers: Vec<Pcr>,
    /// The measured name of the deployment. All templates but [`Template::Freeze`].
    pub deployment: Option<String>,
    /// [`Template::Recovery`].
    pub recovery: Option<Recovery>,
    /// Where the image must run. [`Template::Production`], [`Template::Rotation`], [`Template::Signed`].
    pub pins: Pins,
}

/// Where enclaves must run, beside which image they are: with the role's credentials anybody can start the
/// genuine image on a machine of their own. A list that is empty pins nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// Roles of the instances (PCR3): that of the instance profile, which on EKS is the node's.
    pub instance_roles: Vec<Arn>,
    /// Ids of the instances (PCR4).
    pub instances: Vec<String>,
    /// Ids of the VPC endpoints of KMS through which the calls come (`aws:SourceVpce`).
    pub endpoints: Vec<String>,
}

/// PCR3 of an instance's role (its ARN), or PCR4 of an instance (its id). Source: AWS Nitro Enclaves User Guide,
/// "Where to get an enclave's measurements".
pub fn measured(text: &str) -> Pcr {
    Pcr::ZERO.extended(text.as_bytes())
}

/// Who recovers, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// A role of its own.
    pub role: Arn,
    /// The image with which it may decrypt.
    pub image: Image,
    /// The one region into which administrators may replicate the key.
    pub replica_region: Option<String>,
}

/// The key policy, as indented JSON of at most [`MAX_POLICY`] bytes.
///
/// # Errors
/// [`RenderError`]
pub fn render(template: Template, values: &Values) -> Result<String, RenderError> {
    check::check(template, values)?;
    let policy = fill::fill(template, values)?;
    let text = serde_json::to_string_pretty(&policy).map_err(|_| RenderError::Template)?;
    if text.len() > MAX_POLICY { Err(RenderError::TooLong) } else { Ok(text) }
}

/// The key policy for production, as indented JSON: [`Template::Production`] for one image,
/// [`Template::Rotation`] for more.
///
/// # Errors
/// [`RenderError`]
pub fn production(parameters: &Parameters) -> Result<String, RenderError> {
    let Parameters { admin, enclave_role, images, deployment } = parameters;
    let template = if images.len() > 1 { Template::Rotation } else { Template::Production };
    render(
        template,
        &Values {
            admins: vec![admin.clone()],
            enclave_role: Some(enclave_role.clone()),
            images: images.clone(),
            deployment: Some(deployment.clone()),
            ..Values::default()
        },
    )
}

#[cfg(test)]
mod tests;
