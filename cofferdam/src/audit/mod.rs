//! `cofferdam audit`: everything that an auditor asks of a deployment, in one command, with one
//! report: as text, as JSON, as a page. What each section shows and does not show is told in
//! `docs/audit.md`.
//!
//! Nothing is passed over in silence: a section for which something is missing is reported as not
//! looked at, and the command fails, unless `--only` or `--skip` left it out on purpose.

mod addresses;
mod bucket;
mod collect;
mod enclave;
mod html;
mod image;
mod inputs;
mod key_policy;
mod log;
mod policy;
mod principals;
mod report;
mod show;
mod words;

use std::path::{Path, PathBuf};

use attestation::{AttestationDoc, Verified};
use clap::{Args, Subcommand};
use client::Url;
use protocol::{Deployment, SessionBinding, SessionKey};

use crate::{
    clock,
    error::Error,
    kms::audit::folder::Folder,
    operator::{Measured, QuorumArgs},
    output::{Paint, Screen},
    parent::{IdentityArgs, ParentArgs},
    trust::TrustArgs,
};
use addresses::{Sample, SampleArgs};
use bucket::BucketArgs;
use client::Client;
use inputs::Inputs;
use key_policy::KeyPolicyArgs;
use log::LogArgs;
use principals::PrincipalArgs;
use report::{About, Overall, Report, Root, Section, SectionId, Severity, Verdict};
use verifier::Trust;

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The `aws` commands that fetch what an audit reads; with --run, calls them
    Collect(Box<collect::CollectArgs>),
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// A folder that `audit collect` laid; what is given beside it comes before it
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// The parent of the running enclave, such as https://parent.internal:8080
    #[arg(long, visible_alias = "parent", value_name = "URL", env = "COFFERDAM_URL")]
    url: Option<Url>,
    /// The authority of the parent's TLS certificate in PEM, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    trust: TrustArgs,
    /// The measured configuration, enclave.toml: deployment, operators' keys, KMS keys
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An image that you built from the source; once for each accepted image
    #[arg(long = "eif", value_name = "FILE")]
    eifs: Vec<PathBuf>,
    /// The policy's envelope, as the operators signed it
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    principals: PrincipalArgs,
    #[command(flatten)]
    key_policy: KeyPolicyArgs,
    #[command(flatten)]
    bucket: BucketArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    sample: SampleArgs,
    /// Only these sections
    #[arg(long, value_enum, value_name = "SECTION", value_delimiter = ',', conflicts_with = "skip")]
    only: Vec<SectionId>,
    /// All sections but these
    #[arg(long, value_enum, value_name = "SECTION", value_delimiter = ',')]
    skip: Vec<SectionId>,
    /// Write the report as a page: one file, without scripts or other files
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report in JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl AuditArgs {
    /// Takes what was not given from a folder that was collected.
    fn fill(&mut self, folder: &Folder) -> Result<(), Error> {
        let collected = folder.collected()?;
        self.key_policy.fill(folder)?;
        self.bucket.fill(folder, collected.as_ref())
    }
}

/// How far a section came, where nothing was wrong.
enum Looked {
    /// Everything was looked at.
    Whole,
    /// Something is missing.
    Missing(String),
}

/// What sections need of the arguments and of each other.
struct Audit<'a> {
    args: &'a AuditArgs,
    inputs: Inputs,
    client: Option<Client>,
    measured: Option<Measured>,
    deployment: Option<Deployment>,
    /// The running enclave, once it is verified.
    attested: Option<Attested>,
    /// Measurements of the rebuilt images.
    built: Vec<::eif::Measurements>,
    /// What the sections on addresses and on the log have to tell each other.
    sample: Sample,
}

/// What a verified document of the running enclave binds.
struct Attested {
    doc: Verified<AttestationDoc>,
    binding: SessionBinding,
    session: SessionKey,
}

/// Runs the audit, writes the reports, and shows one.
pub(crate) async fn run(mut args: Box<AuditArgs>, screen: &Screen) -> Result<(), Error> {
    if let Some(AuditCommand::Collect(args)) = &args.command {
        return collect::run(args, screen);
    }
    if let Some(folder) = args.from.clone() {
        args.fill(&Folder::new(&folder))?;
    }
    let args = &*args;
    let began = clock::format(clock::now());
    let mut audit = Audit::new(args)?;
    let mut sections = Vec::new();
    let mut unusable = false;
    for id in SectionId::ALL {
        let mut section = words::section(id);
        section.asked = args.asks(id);
        if section.asked {
            let result = audit.look(id, &mut section).await;
            unusable |= judge(&mut section, result);
        } else {
            section.why = Some("left out on purpose, by --only or --skip".to_owned());
        }
        sections.push(section);
    }
    let report = audit.finish(began, sections)?;
    // Both files before the screen: whoever reads the last line finds them.
    if let Some(file) = &args.report {
        write(
            file,
            serde_json::to_string_pretty(&report).map_err(|error| Error::Failed(error.to_string()))?,
        )?;
    }
    if let Some(file) = &args.html {
        write(file, html::page(&report))?;
    }
    screen.show(&report)?;
    for file in args.html.iter().chain(&args.report) {
        screen.remark(Paint::Dim, &format!("  written to {}", file.display()));
    }
    match report.verdict {
        Overall::Held => Ok(()),
        Overall::Incomplete if unusable => Err(Error::ToldUnusable),
        Overall::NotHeld | Overall::Incomplete => Err(Error::Told),
    }
}

impl AuditArgs {
    fn asks(&self, id: SectionId) -> bool {
        (self.only.is_empty() || self.only.contains(&id)) && !self.skip.contains(&id)
    }
}

/// Turns what came of a section into its verdict. Answers whether input could not be used.
fn judge(section: &mut Section, result: Result<Looked, Error>) -> bool {
    let bad = section.findings.iter().filter(|finding| finding.severity >= Severity::Medium).count();
    let found = || match bad {
        1 => "one finding, told below".to_owned(),
        bad => format!("{bad} findings, told below"),
    };
    let (verdict, why, unusable) = match result {
        Err(Error::Input(text)) if bad > 0 => {
            (Verdict::NotHeld, Some(format!("{}; and input could not be used: {text}", found())), false)
        }
        Err(Error::Input(text)) => {
            (Verdict::NotLookedAt, Some(format!("input could not be used: {text}")), true)
        }
        Err(error) => (Verdict::NotHeld, Some(error.to_string()), false),
        Ok(Looked::Missing(what)) if bad > 0 => {
            (Verdict::NotHeld, Some(format!("{}; and {what}", found())), false)
        }
        Ok(Looked::Missing(what)) => (Verdict::NotLookedAt, Some(what), false),
        Ok(Looked::Whole) if bad > 0 => (Verdict::NotHeld, Some(found()), false),
        Ok(Looked::Whole) => (Verdict::Held, None, false),
    };
    section.verdict = verdict;
    section.why = why;
    section.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    unusable
}

fn write(file: &Path, text: String) -> Result<(), Error> {
    std::fs::write(file, text)
        .map_err(|error| Error::input(file.display(), format_args!("a writable file was expected: {error}")))
}

impl<'a> Audit<'a> {
    /// Reads what several sections need. What is wrong here is wrong with the whole command.
    fn new(args: &'a AuditArgs) -> Result<Self, Error> {
        let inputs = Inputs::default();
        for (option, file) in args.trust.files() {
            inputs.file(option, file)?;
        }
        let measured = match &args.config {
            None => None,
            Some(file) => {
                inputs.file("--config", file)?;
                Some(QuorumArgs::of_config(file.clone()).load()?)
            }
        };
        let named = args.identity.deployment().ok().cloned();
        let configured = measured.as_ref().and_then(|measured| measured.deployment.clone());
        if let (Some(named), Some(configured)) = (&named, &configured)
            && named != configured
        {
            return Err(Error::input(
                "--deployment",
                format_args!("{configured}, as the measured configuration has it, was expected"),
            ));
        }
        let client = match &args.url {
            None => None,
            Some(url) => {
                let parent = ParentArgs::new(url.clone(), args.ca.clone(), args.identity.clone());
                Some(parent.client()?)
            }
        };
        Ok(Self {
            args,
            inputs,
            client,
            measured,
            deployment: named.or(configured),
            attested: None,
            built: Vec::new(),
            sample: Sample::default(),
        })
    }

    async fn look(&mut self, id: SectionId, section: &mut Section) -> Result<Looked, Error> {
        match id {
            SectionId::Enclave => enclave::look(self, section).await,
            SectionId::Image => image::look(self, section),
            SectionId::Policy => policy::look(self, section),
            SectionId::KeyPolicy => key_policy::look(self, section),
            SectionId::Bucket => bucket::look(self, section),
            SectionId::Log => log::look(self, section).await,
            SectionId::Addresses => addresses::look(self, section).await,
        }
    }

    /// The root and the accepted images; nothing where no image is named.
    fn trust(&self) -> Result<Option<Trust>, Error> {
        self.args.trust.is_given().then(|| self.args.trust.load()).transpose()
    }

    fn finish(self, began: String, sections: Vec<Section>) -> Result<Report, Error> {
        let root = self.trust()?.map(|trust| Root {
            name: trust.root_name(),
            sha256: trust.fingerprint(),
            aws: trust.is_aws(),
        });
        let about = About {
            program: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            began,
            ended: clock::format(clock::now()),
            deployment: self.deployment.map(|deployment| deployment.to_string()),
            url: self.args.url.as_ref().map(|url| {
                // A password in a URL is no business of a report's readers.
                let mut url = url.clone();
                let _ = url.set_username("").and_then(|()| url.set_password(None));
                url.to_string()
            }),
            root,
        };
        Ok(Report::new(about, sections, self.inputs.into_list()))
    }
}

/// What a section says that needs an image of the auditor's own.
fn no_image() -> Looked {
    Looked::Missing("no image was named: give --image or --pcr of your own build".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::report::Finding;
    use verifier::Refused;

    fn finding(severity: Severity) -> Finding {
        let text = String::new;
        Finding {
            id: "x".into(),
            severity,
            title: text(),
            statement: text(),
            detail: text(),
            remedy: text(),
            source: text(),
        }
    }

    fn judged(findings: &[Severity], result: Result<Looked, Error>) -> (Verdict, bool) {
        let mut section = words::section(SectionId::Log);
        section.findings = findings.iter().copied().map(finding).collect();
        let unusable = judge(&mut section, result);
        assert_eq!(section.verdict == Verdict::Held, section.why.is_none());
        (section.verdict, unusable)
    }

    #[test]
    fn a_section_holds_only_where_everything_was_looked_at_and_nothing_found() {
        use Severity::{Critical, Info, Low, Medium};
        let missing = || Ok(Looked::Missing("x".into()));
        assert_eq!(judged(&[], Ok(Looked::Whole)), (Verdict::Held, false));
        assert_eq!(judged(&[Info, Low], Ok(Looked::Whole)), (Verdict::Held, false));
        assert_eq!(judged(&[Info, Medium], Ok(Looked::Whole)), (Verdict::NotHeld, false));
        assert_eq!(judged(&[], missing()), (Verdict::NotLookedAt, false));
        assert_eq!(judged(&[Critical], missing()), (Verdict::NotHeld, false));
        let unusable = || Err(Error::Input("x".into()));
        assert_eq!(judged(&[], unusable()), (Verdict::NotLookedAt, true));
        assert_eq!(judged(&[Critical], unusable()), (Verdict::NotHeld, false));
        assert_eq!(judged(&[], Err(Refused::new("x", "y").into())), (Verdict::NotHeld, false));
        assert_eq!(judged(&[], Err(Error::Parent("x".into()))), (Verdict::NotHeld, false));
    }
}
