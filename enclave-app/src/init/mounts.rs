//! The filesystems that the kernel makes up, and the console on one of them.

use std::{fs, io};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::termios::{ControlFlags, InputFlags, LocalFlags, SetArg, tcgetattr, tcsetattr},
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout},
};

use super::InitError;

/// Path, kind, flags, data.
type Mount = (&'static str, &'static str, MsFlags, Option<&'static str>);

const QUIET: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);
/// /dev for the NSM, the console and random bytes, /sys for the name of the hardware's generator,
/// /proc for what libraries ask about the process. Nothing is written to files: /tmp is there for
/// what should not be relied upon.
const MOUNTS: [Mount; 4] = [
    ("/dev", "devtmpfs", QUIET, Some("mode=0755")),
    ("/proc", "proc", QUIET.union(MsFlags::MS_NODEV), None),
    ("/sys", "sysfs", QUIET.union(MsFlags::MS_NODEV).union(MsFlags::MS_RDONLY), None),
    ("/tmp", "tmpfs", QUIET.union(MsFlags::MS_NODEV), Some("mode=0700,size=1m")),
];

/// Mounts what is not mounted yet.
pub(super) fn mount_all() -> Result<(), InitError> {
    for (path, kind, flags, data) in MOUNTS {
        // Where the image has no such folder. If it cannot be made, mounting says why.
        let _ = fs::create_dir(path);
        match mount(Some(kind), path, Some(kind), flags, data) {
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => return Err(InitError::Mount { path, kind, error }),
        }
    }
    Ok(())
}

/// Writes to the console, and reads nothing: the streams of the kernel are of the /dev that was there
/// before, or missing.
pub(super) fn open_console() -> Result<(), InitError> {
    let open = |path: &str, write: bool| fs::File::options().read(!write).write(write).open(path);
    let console = open("/dev/console", true).map_err(InitError::Console)?;
    let nothing = open("/dev/null", false).map_err(InitError::Console)?;
    dup2_stdin(&nothing)
        .and_then(|()| dup2_stdout(&console))
        .and_then(|()| dup2_stderr(&console))
        .and_then(|()| deafen(&console))
        .map_err(|error| InitError::Console(io::Error::from(error)))
}

/// Whoever types on the console stops no line of ours (XOFF), and sends no signal.
fn deafen(console: &fs::File) -> nix::Result<()> {
    let mut settings = tcgetattr(console)?;
    settings.input_flags.remove(InputFlags::IXON | InputFlags::ICRNL);
    settings.local_flags.remove(LocalFlags::ISIG | LocalFlags::ECHO | LocalFlags::ICANON);
    settings.control_flags.remove(ControlFlags::CREAD);
    tcsetattr(console, SetArg::TCSANOW, &settings)
}
