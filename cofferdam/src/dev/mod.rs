//! `cofferdam dev`: simulated enclave, local KMS and parent on this machine, each its own process
//! as in production, in one terminal.
//!
//! The programs are found beside this one. Nothing is restarted silently: when one ends, all end.

mod audit;
mod authority;
mod command;
mod demo;
mod env;
mod evm;
mod exec;
mod folder;
mod logs;
mod policy;
mod process;
mod programs;
mod report;
mod running;
mod signing;
mod stack;
mod story;
mod wallets;

use std::{collections::BTreeMap, io, net::TcpListener, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    error::Error,
    output::{Screen, Sheet},
    shell::{quoted, quoted_path},
    stop::Stop,
};

use authority::{AUDITOR, BACKEND, DESK, environment};
pub(crate) use exec::{ExecArgs, exec};
use folder::{DEPLOYMENT, Folder};
use logs::Logs;
use stack::Stack;

/// Arguments of `dev`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DevArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where keys, configuration and addresses are kept
    #[arg(long, value_name = "FOLDER", default_value = ".cofferdam-dev", conflicts_with = "demo")]
    dir: PathBuf,
    /// The port of the parent's HTTP API on 127.0.0.1
    #[arg(long, default_value_t = 8080, conflicts_with = "demo")]
    port: u16,
    /// How the simulated NSM encodes the payload of its documents: as AWS's does since mid-2025, or as
    /// it did before
    #[arg(long, value_name = "FORM", default_value = "indefinite", value_parser = ["indefinite", "definite"])]
    payload_form: String,
    /// Tell the whole story in a folder of its own, and end: 0 only when all of it held
    #[arg(long)]
    demo: bool,
    /// Run a command in a shell once all is ready, with the environment that `dev env` prints, and end
    /// with it and with its exit code
    #[arg(long, value_name = "COMMAND", conflicts_with = "demo")]
    exec: Option<String>,
    /// With --demo or --exec: show the programs' logs as well
    #[arg(long)]
    logs: bool,
    /// With --demo: keep the report of its audit here, as a page
    #[arg(long, value_name = "FILE", requires = "demo")]
    page: Option<PathBuf>,
}

/// What else there is to a stack.
#[derive(Debug, Subcommand)]
enum Command {
    /// Print the environment of a running stack: eval "$(cofferdam dev env)"
    Env(env::EnvArgs),
}

/// Runs until Ctrl-C, or until the demo or the command ends.
pub(crate) async fn run(args: DevArgs, screen: &Screen) -> Result<(), Error> {
    if let Some(Command::Env(args)) = &args.command {
        return env::print(args, screen);
    }
    let mut stop = Stop::new()?;
    if args.demo {
        return demo::run(&args, screen, &mut stop).await;
    }
    // What the command says is not to be looked for among the lines of others.
    let logs = Logs::new(screen, args.exec.is_none() || args.logs);
    let folder = Folder::open(&args.dir)?;
    free(args.port)?;
    let mut stack = Stack::new(folder, args.port, &args.payload_form, logs);
    let result = tokio::select! {
        result = start(&mut stack) => result.map(|()| true),
        () = stop.asked() => Ok(false),
    };
    let result = match (result, &args.exec) {
        (Ok(true), Some(command)) => command::run(&mut stack, command, &mut stop).await,
        (Ok(true), None) => tokio::select! {
            result = serve(&mut stack, screen) => result,
            () = stop.asked() => Ok(()),
        },
        (Ok(false), _) => Ok(()),
        (Err(error), _) => {
            stack.logs().show_kept();
            Err(error)
        }
    };
    stack.folder().forget_url();
    if result.is_ok() {
        stack.logs().say("stopping");
    }
    // A second Ctrl-C does not wait for anyone.
    tokio::select! {
        () = stack.stop() => {}
        () = stop.asked() => {}
    }
    result
}

/// That the parent will find its port free: what it says itself would be one line among many.
fn free(port: u16) -> Result<(), Error> {
    let advice = "`--port 0` takes any that is free";
    TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        let found = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "a free port was expected, found that another program listens on 127.0.0.1:{port}: end it \
                 (`ss -ltnp 'sport = :{port}'` names it), or name another port; {advice}"
            ),
            _ => format!("a port was expected that may be listened on: {error}; {advice}"),
        };
        Error::input(format_args!("--port {port}"), found)
    })
}

/// Starts everything, and notes where it is for other terminals.
async fn start(stack: &mut Stack) -> Result<(), Error> {
    stack.start().await?;
    let url = stack.url()?;
    stack.folder().note_url(url.as_str().trim_end_matches('/'))
}

/// Says how to use it, and returns when a process ends.
async fn serve(stack: &mut Stack, screen: &Screen) -> Result<(), Error> {
    tell(stack, screen)?;
    Err(stack.ended().await)
}

fn tell(stack: &Stack, screen: &Screen) -> Result<(), Error> {
    let folder = stack.folder();
    let (url, image, root) = (stack.url()?, folder.image(), folder.nsm_root());
    let url = url.as_str().trim_end_matches('/');
    let pcr0 = stack.pcr0();
    let environment = environment(folder.path(), url, BACKEND);
    if screen.json() {
        let client = |name: &str| (name.to_owned(), folder.client_key(name));
        let clients: BTreeMap<String, PathBuf> = [BACKEND, AUDITOR, DESK].map(client).into();
        let ready = json!({
            "ready": true, "parent": url, "pcr0": pcr0, "image": image, "root": root,
            "deployment": DEPLOYMENT, "operator": folder.operator(), "clients": clients,
            "policy": folder.envelope(), "log": folder.log(), "env": BTreeMap::from(environment),
        });
        return screen.json_line(&ready);
    }
    let mut sheet = Sheet::default();
    sheet.plain("");
    sheet.good(format!("ready at {url}"));
    sheet.row("PCR0", pcr0);
    sheet.row("operator's key", folder.operator().display().to_string());
    sheet.row("policy", format!("version {}, {}", folder.policy_version()?, folder.envelope().display()));
    sheet.row("log", folder.log().display().to_string());
    sheet.plain("");
    sheet.note("in another terminal, this or `eval \"$(cofferdam dev env)\"` with the same --dir:");
    for (name, value) in &environment {
        sheet.plain(format!("  export {name}={}", quoted(value)));
    }
    let trust = format!("--image {} --root {}", quoted_path(&image), quoted_path(&root));
    sheet.plain(format!("  cofferdam address create --user alice --chain evm --verify {trust}"));
    sheet.plain(format!("  cofferdam address list --user alice --verify {trust}"));
    sheet.plain(format!("  cofferdam log verify {} {trust}", quoted_path(&folder.log())));
    sheet.note("as one of the other clients:");
    for name in [AUDITOR, DESK] {
        let key = quoted_path(&folder.client_key(name));
        sheet.plain(format!("  export COFFERDAM_CLIENT_ID={name} COFFERDAM_CLIENT_KEY={key}"));
    }
    sheet.note("Ctrl-C stops everything");
    sheet.plain("");
    screen.sheet(&sheet)
}
