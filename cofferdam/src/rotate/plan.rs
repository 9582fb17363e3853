//! `cofferdam rotate plan`: the procedure of `docs/rotation.md`, with a deployment's values.

use std::path::PathBuf;

use attestation::PcrIndex;
use clap::Args;
use client::Url;
use kms_policies::Arn;
use protocol::Deployment;
use serde::Serialize;

use super::{ImageArgs, Images, key_arn, role_arn, shown};
use crate::{
    error::Error,
    output::{Screen, Sheet, Show},
    pins::PinArgs,
    shell::{quoted, quoted_path},
};
use verifier::Image;

/// Arguments of `rotate plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    images: ImageArgs,
    /// The deployment
    #[arg(long, value_name = "NAME", env = "COFFERDAM_DEPLOYMENT")]
    deployment: Deployment,
    /// The KMS key. May be given several times: replicas of a multi-Region key have policies of their
    /// own
    #[arg(long = "key", value_name = "ARN", required = true, value_parser = key_arn)]
    keys: Vec<Arn>,
    /// The role of the parents
    #[arg(long, value_name = "ARN", value_parser = role_arn)]
    role: Arn,
    /// Who administrates the key. May be given several times
    #[arg(long = "admin", value_name = "ARN", required = true)]
    admins: Vec<Arn>,
    #[command(flatten)]
    pins: PinArgs,
    /// A parent. May be given several times: they get the new image in this order
    #[arg(long = "url", visible_alias = "parent", value_name = "URL", required = true)]
    urls: Vec<Url>,
    /// The exchange's own list of its addresses
    #[arg(long, value_name = "FILE", default_value = "addresses.jsonl")]
    addresses: PathBuf,
    /// The root certificate in PEM, in place of AWS Nitro Enclaves root G1
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Plan {
    deployment: Deployment,
    from_pcr0: Option<String>,
    to_pcr0: Option<String>,
    steps: Vec<Step>,
    rollback: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Step {
    title: &'static str,
    commands: Vec<String>,
    /// What must be seen before the next step.
    seen: &'static str,
}

pub(super) fn run(args: &PlanArgs, screen: &Screen) -> Result<(), Error> {
    if args.admins.iter().any(|admin| *admin == args.role || admin.service() != "iam") {
        return Err(Error::input(
            "--admin",
            "the ARN of an IAM role or user, other than --role, was expected",
        ));
    }
    screen.show(&args.plan(&args.images.load()?))
}

impl PlanArgs {
    fn plan(&self, images: &Images) -> Plan {
        Plan {
            deployment: self.deployment.clone(),
            from_pcr0: pcr0(&images.from),
            to_pcr0: pcr0(&images.to),
            steps: vec![
                Step {
                    title: "Every parent runs the old image",
                    commands: self.attested(&self.images.from, "before"),
                    seen: "each document verifies. If one does not, find out what runs there first",
                },
                Step {
                    title: "The key policy names both images",
                    commands: self.policy(images, true),
                    seen: "the audit names no finding, and what is in force is what was put",
                },
                Step {
                    title: "Each parent gets the new image, one after the other",
                    commands: self.replaced(),
                    seen: "its document verifies with the new image, it is activated where the configuration \
                           asks for it, and it serves, before the next one is begun",
                },
                Step {
                    title: "The new image opens every record",
                    commands: self.checked("both", "--all"),
                    seen: "exit code 0. Anything else: roll back",
                },
                Step {
                    title: "Soak",
                    commands: self.checked("both", "--sample 1000"),
                    seen: "a day of ordinary traffic: no alarm, sweeps confirmed, `cofferdam log verify` \
                           holds. Repeat the check as often as you like",
                },
                Step {
                    title: "The key policy names the new image alone",
                    commands: self.policy(images, false),
                    seen: "the audit names no finding, and what is in force is what was put",
                },
                Step {
                    title: "The old image opens nothing any more",
                    commands: self.checked("new", "--all"),
                    seen: "exit code 0. With --old-url and a parent that still runs the old image, it is \
                           asked as well: KMS refuses it from limits.data_key_age_seconds after the step \
                           before on",
                },
            ],
            rollback: vec![
                "Before step 6: put the old image and its pcrs.json back on the parents, one after the other; \
                 the policy allows it.",
                "After step 6: put policy-both.json again as in step 2, then the same.",
                "Keep both measurements for ever: certificates and logs of the old image verify with its own.",
            ],
        }
    }

    fn root(&self) -> String {
        self.root.as_ref().map_or(String::new(), |root| format!(" --root {}", quoted_path(root)))
    }

    fn attested(&self, image: &std::path::Path, name: &str) -> Vec<String> {
        let (image, root) = (quoted_path(image), self.root());
        let fetch = |(at, url): (usize, &Url)| {
            let url = quoted(shown(url));
            format!("cofferdam attestation fetch --url {url} --image {image}{root} --out {name}-{at}.cose")
        };
        (1..).zip(&self.urls).map(fetch).collect()
    }

    fn policy(&self, images: &Images, both: bool) -> Vec<String> {
        let (from, to) = (quoted_path(&self.images.from), quoted_path(&self.images.to));
        let role = quoted(self.role.as_str());
        let admin = |admin: &Arn| format!(" --admin {}", quoted(admin.as_str()));
        let admins: String = self.admins.iter().map(admin).collect();
        let (account, deployment) = (self.role.account(), quoted(self.deployment.as_str()));
        let (name, images) = if both {
            ("policy-both.json", vec![&images.to, &images.from])
        } else {
            ("policy-new.json", vec![&images.to])
        };
        let template = if both {
            format!("rotation --pcrs {to} --also {from}")
        } else {
            format!("production --pcrs {to}")
        };
        let mut commands = vec![format!(
            "cofferdam kms render --template {template} --role {role}{admins} --account {account} \
             --deployment {deployment}{} > {name}",
            self.pins.arguments()
        )];
        let pcrs: Vec<String> =
            images.into_iter().filter_map(pcr0).map(|pcr0| format!(" --pcr 0={pcr0}")).collect();
        commands.push(format!("cofferdam kms audit {name}{}{admins}", pcrs.concat()));
        for key in &self.keys {
            let (arn, region) = (quoted(key.as_str()), quoted(key.region()));
            let of = format!("--region {region} --key-id {arn} --policy-name default");
            commands.push(format!("aws kms put-key-policy {of} --policy file://{name}"));
            commands.push(format!("aws kms get-key-policy {of} --output json > {}", self.in_force(key)));
        }
        commands
    }

    fn in_force(&self, key: &Arn) -> String {
        quoted(&format!("in-force-{}.json", key.region()))
    }

    fn replaced(&self) -> Vec<String> {
        let fetch = self.attested(&self.images.to, "after");
        let restart = self.urls.iter().map(|url| {
            let host = quoted(url.host_str().unwrap_or_default());
            let reason = "# once the new cofferdam.eif and pcrs.json are in place";
            format!("ssh {host} sudo systemctl restart cofferdam-enclave   {reason}")
        });
        restart.zip(fetch).flat_map(|(restart, fetch)| [restart, fetch]).collect()
    }

    fn checked(&self, phase: &str, which: &str) -> Vec<String> {
        let (from, to) = (quoted_path(&self.images.from), quoted_path(&self.images.to));
        let urls: Vec<String> =
            self.urls.iter().map(|url| format!(" --url {}", quoted(shown(url)))).collect();
        let check = |key: &Arn| {
            format!(
                "cofferdam rotate check --phase {phase} --from {from} --to {to} --policy {} --key {} \
                 --role {} --deployment {}{}{} --addresses {} {which}{}",
                self.in_force(key),
                quoted(key.as_str()),
                quoted(self.role.as_str()),
                quoted(self.deployment.as_str()),
                self.pins.arguments(),
                urls.concat(),
                quoted_path(&self.addresses),
                self.root(),
            )
        };
        self.keys.iter().map(check).collect()
    }
}

fn pcr0(image: &Image) -> Option<String> {
    image.registers.get(&PcrIndex::IMAGE).map(ToString::to_string)
}

impl Show for Plan {
    fn show(&self, sheet: &mut Sheet) {
        sheet.plain(format!("Rotation of the image of {}", self.deployment));
        let shown = |pcr0: &Option<String>| pcr0.clone().unwrap_or_else(|| "PCR1 and PCR2 alone".to_owned());
        sheet.row("from PCR0", shown(&self.from_pcr0));
        sheet.row("to PCR0", shown(&self.to_pcr0));
        for (number, step) in (1..).zip(&self.steps) {
            sheet.plain("");
            sheet.plain(format!("{number}. {}", step.title));
            for command in &step.commands {
                sheet.plain(format!("   {command}"));
            }
            sheet.note(format!("   seen: {}", step.seen));
        }
        sheet.plain("");
        sheet.plain("Rollback");
        for line in &self.rollback {
            sheet.note(line);
        }
    }
}
