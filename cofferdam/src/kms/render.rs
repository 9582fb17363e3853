//! `cofferdam kms render`: a key policy from a template, for the images that were measured.

use std::path::{Path, PathBuf};

use ::eif::{Reference, signature::Certificate};
use attestation::{Pcr, PcrIndex};
use clap::Args;
use kms_policies::{
    AccountId, Arn,
    render::{Image, Recovery, RenderError, Template, Values, render},
};
use protocol::Deployment;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha384};

use crate::{
    error::Error,
    input::{self, MAX_TEXT, STDIN},
    operator,
    output::{Paint, Screen, Sheet, Show},
    pins::PinArgs,
};

/// Arguments of `kms render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// Measurements of the image that is let in, as `make eif` and nitro-cli write them
    #[arg(long, value_name = "FILE")]
    pcrs: Option<PathBuf>,
    /// Measurements of a further image, while one replaces the other. May be given several times
    #[arg(long, value_name = "FILE", requires = "pcrs")]
    also: Vec<PathBuf>,
    /// The role of the parent instances
    #[arg(long, value_name = "ARN")]
    role: Option<Arn>,
    /// The role or user that administrates the key, without any cryptography. May be given several
    /// times; whoever puts the policy on the key must be among them
    #[arg(long = "admin", value_name = "ARN", required = true)]
    admins: Vec<Arn>,
    /// The account of the key, which must be that of all roles
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// The deployment's name, from the measured configuration
    #[arg(long, value_name = "NAME")]
    deployment: Option<Deployment>,
    /// production, rotation, signed, recovery or freeze; unnamed, it is rotation with --also, else
    /// production. freeze needs --admin and --account only
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<Template>,
    /// For signed: the certificate in PEM whose images are let in, in place of PCR8 of --pcrs. May be
    /// given several times
    #[arg(long = "signing-cert", value_name = "FILE")]
    signing_certs: Vec<PathBuf>,
    /// For recovery: the role that may decrypt with the image of --recovery-pcrs
    #[arg(long, value_name = "ARN", requires = "recovery_pcrs")]
    recovery_role: Option<Arn>,
    /// For recovery: measurements of the image that recovers
    #[arg(long, value_name = "FILE", requires = "recovery_role")]
    recovery_pcrs: Option<PathBuf>,
    /// For recovery: the one region into which administrators may replicate the key
    #[arg(long, value_name = "REGION", requires = "recovery_role")]
    replica_region: Option<String>,
    #[command(flatten)]
    pins: PinArgs,
    /// Where to write the policy, in place of standard output. Never overwrites
    #[arg(long, value_name = "FILE", default_value = STDIN)]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Answer {
    out: PathBuf,
    template: &'static str,
    bytes: usize,
    statements: Vec<String>,
}

pub(super) fn run(args: &RenderArgs, screen: &Screen) -> Result<(), Error> {
    let template = args.template.unwrap_or(match args.also.is_empty() {
        true => Template::Production,
        false => Template::Rotation,
    });
    check_account(args)?;
    check_fitting(args, template)?;
    let text = render(template, &values(args, template)?)
        .map_err(|error| Error::input(argument(&error), error.to_string()))?;
    let policy: Value = serde_json::from_str(&text).map_err(|error| Error::Failed(error.to_string()))?;
    match template {
        Template::Rotation => screen.remark(
            Paint::Warn,
            "! every image that is named is let in: when the old one has gone, render production",
        ),
        Template::Signed => screen.remark(
            Paint::Warn,
            "! whoever has the signing key decides which image is let in: kms-policies/README.md",
        ),
        _ => {}
    }
    let to_screen = args.out.as_os_str() == STDIN;
    if to_screen && screen.json() {
        return screen.json_line(&policy);
    }
    operator::write_new(&args.out, &text, None, screen)?;
    if to_screen {
        return Ok(());
    }
    let statements = policy.get("Statement").and_then(Value::as_array).into_iter().flatten();
    let sid = |statement: &Value| Some(statement.get("Sid")?.as_str()?.to_owned());
    screen.show(&Answer {
        out: args.out.clone(),
        template: template.name(),
        bytes: text.len(),
        statements: statements.filter_map(sid).collect(),
    })
}

/// Which argument an error is about.
fn argument(error: &RenderError) -> &'static str {
    match error {
        RenderError::Admin | RenderError::Accounts => "--admin",
        RenderError::EnclaveRole => "--role",
        RenderError::RecoveryRole | RenderError::Recovery => "--recovery-role",
        RenderError::Images | RenderError::Count(_) | RenderError::TooLong => "--pcrs",
        RenderError::Signers => "--signing-cert",
        RenderError::Deployment => "--deployment",
        RenderError::Region => "--replica-region",
        RenderError::InstanceRole => "--instance-role",
        RenderError::Instance => "--instance",
        RenderError::Endpoint => "--endpoint",
        RenderError::PinnedRecovery => "--instance-role, --instance, --endpoint",
        RenderError::Template => "--template",
    }
}

/// A key's policy can name roles of other accounts. Here it is always a slip.
fn check_account(args: &RenderArgs) -> Result<(), Error> {
    let admins = args.admins.iter().map(|arn| ("--admin", arn));
    let others = [("--role", args.role.as_ref()), ("--recovery-role", args.recovery_role.as_ref())];
    let others = others.into_iter().filter_map(|(name, arn)| Some((name, arn?)));
    let instances = args.pins.instance_roles.iter().map(|arn| ("--instance-role", arn));
    for (name, arn) in admins.chain(others).chain(instances) {
        let (expected, found) = (&args.account, arn.account());
        if found != expected {
            let text = format!("an ARN of the account {expected} was expected (--account), found {found}");
            return Err(Error::input(name, text));
        }
    }
    Ok(())
}

/// What a template does not use must not look as if it were used.
fn check_fitting(args: &RenderArgs, template: Template) -> Result<(), Error> {
    let fits = |name, given: bool, only| match given && template != only && template != Template::Freeze {
        true => Err(Error::input(name, format!("--template {only} was expected with it, found {template}"))),
        false => Ok(()),
    };
    fits("--recovery-role", args.recovery_role.is_some(), Template::Recovery)?;
    fits("--signing-cert", !args.signing_certs.is_empty(), Template::Signed)
}

fn values(args: &RenderArgs, template: Template) -> Result<Values, Error> {
    let files: Vec<&Path> = args.pcrs.iter().chain(&args.also).map(PathBuf::as_path).collect();
    let measured = files.iter().map(|file| reference(file)).collect::<Result<Vec<_>, _>>()?;
    let signers = if template == Template::Signed {
        signers(args, files.iter().copied().zip(&measured))?
    } else {
        Vec::new()
    };
    let recovery = match (&args.recovery_role, &args.recovery_pcrs) {
        (Some(role), Some(file)) => Some(Recovery {
            role: role.clone(),
            image: image(file, &reference(file)?)?,
            replica_region: args.replica_region.clone(),
        }),
        _ => None,
    };
    let images = files.iter().zip(&measured).map(|(file, reference)| image(file, reference));
    Ok(Values {
        admins: args.admins.clone(),
        enclave_role: args.role.clone(),
        images: images.collect::<Result<_, _>>()?,
        signers,
        deployment: args.deployment.as_ref().map(ToString::to_string),
        recovery,
        pins: args.pins.pins(),
    })
}

fn reference(file: &Path) -> Result<Reference, Error> {
    Reference::parse(&input::read(file, MAX_TEXT)?).map_err(|error| Error::input(file.display(), error))
}

fn image(file: &Path, reference: &Reference) -> Result<Image, Error> {
    let pcr = |index| {
        reference
            .register(index)
            .ok_or_else(|| Error::input(file.display(), "PCR0, PCR1 and PCR2 were expected"))
    };
    Ok(Image { pcr0: pcr(PcrIndex::IMAGE)?, pcr1: pcr(PcrIndex::KERNEL)?, pcr2: pcr(PcrIndex::APPLICATION)? })
}

/// PCR8 of the certificates; or, where none is named, of the images.
fn signers<'a>(
    args: &RenderArgs,
    images: impl Iterator<Item = (&'a Path, &'a Reference)>,
) -> Result<Vec<Pcr>, Error> {
    let index = PcrIndex::new(8).map_err(|error| Error::Failed(error.to_string()))?;
    let certificates =
        args.signing_certs.iter().map(|file| certificate(file)).collect::<Result<Vec<_>, _>>()?;
    let mut signers = Vec::new();
    for pcr in &certificates {
        if !signers.contains(pcr) {
            signers.push(*pcr);
        }
    }
    for (file, reference) in images {
        match reference.register(index) {
            None => {
                let text = "PCR8 was expected: this image is not signed";
                return Err(Error::input(file.display(), text));
            }
            Some(pcr) if signers.contains(&pcr) => {}
            Some(pcr) if certificates.is_empty() => signers.push(pcr),
            Some(pcr) => {
                let text = format!("PCR8 of a certificate of --signing-cert was expected, found {pcr}");
                return Err(Error::input(file.display(), text));
            }
        }
    }
    Ok(signers)
}

/// PCR8 of images that carry this certificate.
fn certificate(file: &Path) -> Result<Pcr, Error> {
    let certificate = Certificate::from_pem(&input::read_text(file, MAX_TEXT)?)
        .map_err(|error| Error::input(file.display(), error))?;
    Ok(Pcr::ZERO.extended(&Sha384::digest(certificate.der())))
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good(format!("a key policy: {}", self.template));
        sheet.row("statements", self.statements.join(", "));
        sheet.row("size", format!("{} bytes of at most {}", self.bytes, kms_policies::MAX_POLICY));
        sheet.row("written to", self.out.display().to_string());
        sheet.note("put it on the key as an administrator whom it names:");
        sheet.note(format!(
            "aws kms put-key-policy --key-id KEY-ARN --policy-name default --policy file://{}",
            self.out.display()
        ));
    }
}
