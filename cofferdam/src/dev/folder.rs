//! Everything that `dev` keeps, in one folder:
//!
//! | file | what |
//! |---|---|
//! | `simulator/` | PKI, account and keys of the local KMS: the simulator's own |
//! | `operator`, `operator.pub` | the operator's key, named in the measured configuration |
//! | `enclave.toml` | the measured configuration |
//! | `image.json` | the registers that this program and configuration measure to |
//! | `store/` | sealed records, policies and orders, as the parent keeps them |
//! | `log/` | the log, as the parent keeps it |
//! | `run/` | sockets; where the parent listens, once it does |
//!
//! and what [`super::authority`], [`super::wallets`] and [`super::policy`] keep.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::programs::Programs;
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    keys::{self, Role},
};

/// The deployment's name.
pub(super) const DEPLOYMENT: &str = "laptop";
/// The region that the local KMS is in.
pub(super) const REGION: &str = "eu-central-1";
/// The longest path of a socket on Linux; other systems allow a little less.
const MAX_SOCKET: usize = 100;

/// Where the parent's address is noted.
pub(super) const URL: &str = "run/url";

/// A folder that no other `dev` uses.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// The access key of the role that the parent runs under.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessKey {
    #[zeroize(skip)]
    name: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

impl Folder {
    /// Makes or opens it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |error: io::Error| {
            Error::input(path.display(), format_args!("a folder that can be written was expected: {error}"))
        };
        fs::create_dir_all(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        let lock = File::create(path.join(".lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::input(
                    path.display(),
                    "a folder that no other `cofferdam dev` uses was expected",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // Keys and records of a laptop are nothing for a repository.
        fs::write(path.join(".gitignore"), "*\n").map_err(unusable)?;
        for folder in ["clients", "log", "run", "store"] {
            fs::create_dir_all(path.join(folder)).map_err(unusable)?;
        }
        let folder = Self { path, _lock: lock };
        // Of a stack that was killed.
        folder.forget_url();
        if folder.egress_socket().as_os_str().len() > MAX_SOCKET {
            return Err(Error::input(
                folder.path.display(),
                "a shorter path was expected: sockets are in this folder",
            ));
        }
        Ok(folder)
    }

    /// Notes where the parent listens, for other terminals.
    pub(super) fn note_url(&self, url: &str) -> Result<(), Error> {
        write(&self.at(URL), url)
    }

    /// The parent listens no longer.
    pub(super) fn forget_url(&self) {
        let _ = fs::remove_file(self.at(URL));
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The simulator's folder.
    pub(super) fn simulator(&self) -> PathBuf {
        self.at("simulator")
    }

    /// Who vouches for the simulated NSM.
    pub(super) fn nsm_root(&self) -> PathBuf {
        self.at("simulator/nsm-root.pem")
    }

    /// The measured configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.at("enclave.toml")
    }

    /// The registers of the image.
    pub(super) fn image(&self) -> PathBuf {
        self.at("image.json")
    }

    /// Where sealed records are kept.
    pub(super) fn store(&self) -> PathBuf {
        self.at("store")
    }

    /// Where the log is kept.
    pub(super) fn log(&self) -> PathBuf {
        self.at("log")
    }

    /// Where the enclave listens.
    pub(super) fn enclave_socket(&self) -> PathBuf {
        self.at("run/enclave.sock")
    }

    /// Where the enclave reaches KMS.
    pub(super) fn egress_socket(&self) -> PathBuf {
        self.at("run/kms.sock")
    }

    /// Makes what is not there yet: the PKI, the operator's key, a KMS key that is pinned to the
    /// registers of this very configuration, clients and a policy. Answers PCR0.
    ///
    /// The configuration names the KMS key, and the key's policy names the configuration's
    /// measurement: so the key is made first, for registers that no image has.
    pub(super) fn prepare(&self, programs: &Programs) -> Result<String, Error> {
        let nobody = "11".repeat(48);
        let nobody = ["0", "1", "2"].map(|index| format!("{index}={nobody}"));
        let mut first = vec!["--pcr", &nobody[0], "--pcr", &nobody[1], "--pcr", &nobody[2]];
        if self.image().exists() {
            // The key is there: its policy stays until the new one replaces it.
            first.clear();
        }
        programs.simulate(&self.command("init", &["--region", REGION]))?;
        let image = self.image().to_string_lossy().into_owned();
        let pinned = if first.is_empty() { vec!["--pcrs", image.as_str()] } else { first };
        let arn = programs.simulate(&self.policy_of_kms(&pinned))?;
        let arn = arn.get("keyArn").and_then(Value::as_str).unwrap_or_default();
        let config = self.enclave_toml(arn)?;
        let pcr0 = self.measure(programs, &self.config(), &config, &self.image())?;
        programs.simulate(&self.policy_of_kms(&["--pcrs", &image]))?;
        self.prepare_authority()?;
        Ok(pcr0)
    }

    /// Another configuration, that nobody pinned anything to. Answers its file and PCR0.
    pub(super) fn another(&self, programs: &Programs) -> Result<(PathBuf, String), Error> {
        let (file, image) = (self.at("another.toml"), self.at("another.json"));
        let config = input::read_text(&self.config(), MAX_TEXT)?;
        // Requests of an hour ago would do: the policy stays one that this enclave takes.
        let changed = config + "\n[limits]\nrequest_past_seconds = 3600\n";
        let pcr0 = self.measure(programs, &file, &changed, &image)?;
        Ok((file, pcr0))
    }

    /// Writes a configuration and the registers that it measures to.
    fn measure(&self, programs: &Programs, file: &Path, config: &str, image: &Path) -> Result<String, Error> {
        write(file, config)?;
        let mut args: Vec<_> = ["measure", "--config"].map(Into::into).into();
        args.push(file.into());
        let measured = programs.simulate(&args)?;
        write(image, &format!("{measured:#}\n"))?;
        let pcr0 = measured.get("PCR0").and_then(Value::as_str);
        pcr0.map(str::to_owned)
            .ok_or_else(|| Error::Failed("the simulator was expected to measure PCR0".to_owned()))
    }

    /// A command of the simulator on this folder.
    pub(super) fn command(&self, name: &str, more: &[&str]) -> Vec<std::ffi::OsString> {
        let mut args = vec![name.into(), "--dir".into(), self.simulator().into()];
        args.extend(more.iter().map(Into::into));
        args
    }

    fn policy_of_kms(&self, more: &[&str]) -> Vec<std::ffi::OsString> {
        self.command("policy", &[&["--region", REGION, "--deployment", DEPLOYMENT], more].concat())
    }

    fn enclave_toml(&self, arn: &str) -> Result<String, Error> {
        let anchors = input::read_text(&self.at("simulator/tls-root.pem"), MAX_TEXT)?;
        let operator = self.operator();
        let key = if operator.exists() {
            keys::read(&operator)?.key
        } else {
            keys::create(Role::Operator, &operator)?
        };
        let key = HEXLOWER.encode(key.as_bytes());
        let (listen, egress) = (self.enclave_socket(), self.egress_socket());
        Ok(format!(
            r#"# Written by `cofferdam dev`. Every byte of this file is measured into PCR0 and PCR2.
version = 1
deployment = "{DEPLOYMENT}"
activation = "policy"

[network]
listen = "unix://{}"
kms_egress = "unix://{}"

[kms]
region = "{REGION}"
keys = ["{arn}"]
trust_anchors = """
{anchors}"""

[operators.policy]
threshold = 1
keys = ["ed25519:{key}"]

[operators.freeze]
threshold = 1
keys = ["ed25519:{key}"]

[bitcoin]
network = "mainnet"
"#,
            listen.display(),
            egress.display()
        ))
    }

    /// The access key of the role `enclave`, from the simulator's account.
    pub(super) fn access_key(&self) -> Result<AccessKey, Error> {
        #[derive(Deserialize)]
        struct Account {
            principals: Vec<AccessKey>,
        }
        let file = self.at("simulator/aws.json");
        let text = zeroize::Zeroizing::new(input::read_text(&file, MAX_TEXT)?);
        let account: Account = serde_json::from_str(&text)
            .map_err(|_| Error::input(file.display(), "the simulator's account was expected"))?;
        let found = account.principals.into_iter().find(|key| key.name == "enclave");
        found.ok_or_else(|| Error::input(file.display(), "a role named enclave was expected"))
    }
}

/// Writes a file whole.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text)
        .map_err(|error| Error::input(file.display(), format_args!("a writable file was expected: {error}")))
}
