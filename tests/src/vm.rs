//! A virtual machine that boots an enclave image, with a Nitro Secure Module that QEMU emulates:
//! the kernel, its driver of `/dev/nsm`, vsock and our init are the real ones. Made ready by
//! `make test-vm`, which also says in which folder what lies.

use std::{
    env,
    fs::File,
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use simulator::{nsm::PayloadForm, pki};

use crate::{
    process::run,
    programs::program,
    stack::{Node, Stack},
};

/// How long a boot, or the end of a machine, may take without hardware virtualisation.
const PATIENCE: Duration = Duration::from_secs(90);
/// What a machine gets, in MiB: COFFERDAM_VM_MEMORY, or 512.
fn memory() -> u32 {
    env::var("COFFERDAM_VM_MEMORY").map_or(512, |text| text.parse().unwrap())
}

/// What `make test-vm` made.
pub struct Assets {
    /// `qemu-system-x86_64` and `firmware/`.
    qemu: PathBuf,
    vhost: PathBuf,
    kernel: PathBuf,
    /// Where `make eif` wrote the image that would go to EC2.
    image: PathBuf,
}

impl Assets {
    /// As the environment names them.
    pub fn find() -> Self {
        let path = |name| {
            let path = env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.exists()).unwrap_or_else(|| panic!("{name}: run make test-vm"))
        };
        Self {
            qemu: path("COFFERDAM_VM_QEMU"),
            vhost: path("COFFERDAM_VM_VHOST"),
            kernel: path("COFFERDAM_VM_KERNEL"),
            image: path("COFFERDAM_VM_IMAGE"),
        }
    }

    /// Registers of the image that would go to EC2.
    pub fn production(&self) -> Value {
        let text = std::fs::read_to_string(self.image.join("pcrs.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["Measurements"].clone()
    }

    /// The program that would go to EC2.
    pub fn program(&self) -> PathBuf {
        self.image.join("program.cpio.gz")
    }

    /// The same image with this configuration, or with none. Returns its registers.
    pub fn image(&self, configuration: Option<&str>, eif: &Path) -> Value {
        self.image_of(&self.program(), configuration, eif)
    }

    /// The same program, started by another init.
    pub fn image_with_other_init(&self, configuration: &str, eif: &Path) -> Value {
        let (init, ramdisk) = (eif.with_extension("init"), eif.with_extension("program.gz"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/vm/other-init.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-static", "-O2", "-Wall", "-Werror", "-o"]).arg(&init).arg(source);
        assert!(compiler.status().unwrap().success());
        pack(&ramdisk, &[("init", &init, ":0755"), ("program", &self.image.join("enclave-app"), ":0755")]);
        self.image_of(&ramdisk, Some(configuration), eif)
    }

    fn image_of(&self, first: &Path, configuration: Option<&str>, eif: &Path) -> Value {
        let (toml, ramdisk) = (eif.with_extension("toml"), eif.with_extension("cpio.gz"));
        let mut name = "etc/cofferdam/enclave.toml";
        if configuration.is_none() {
            name = "etc/cofferdam/another.toml";
        }
        std::fs::write(&toml, configuration.unwrap_or_default()).unwrap();
        pack(&ramdisk, &[(name, &toml, "")]);
        let mut command = Command::new(program("cofferdam"));
        command.args(["eif", "build", "--kernel"]).arg(&self.kernel);
        let command_line = concat!("@", env!("CARGO_MANIFEST_DIR"), "/../image/command-line");
        command.args(["--command-line", command_line, "--ramdisk"]).arg(first);
        command.arg("--ramdisk").arg(&ramdisk).arg("--output").arg(eif);
        run(&mut command)["Measurements"].clone()
    }
}

/// A ramdisk of files: name, source, mode.
fn pack(ramdisk: &Path, files: &[(&str, &Path, &str)]) {
    let files = files.iter().map(|(name, source, mode)| format!("{name}={}{mode}", source.display()));
    let packed = Command::new(program("cofferdam"))
        .args(["eif", "ramdisk", "--output"])
        .arg(ramdisk)
        .args(files)
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
}

/// A machine that runs. It ends with its owner.
pub struct Machine {
    console: PathBuf,
    qemu: Child,
    vhost: Child,
    beats: Arc<AtomicUsize>,
    started: Instant,
}

impl Machine {
    /// Boots an image. Its vsock ends in `vm.sock` of the folder; its module's documents lead to the
    /// root of attestation in the stack's folder, and are of this form.
    pub fn boot(assets: &Assets, stack: &Stack, folder: &Path, eif: &Path, form: PayloadForm) -> Self {
        let path = |name: &str| folder.join(name);
        let (socket, vhost_socket, console) = (path("vm.sock"), path("vhost.sock"), path("console"));
        for old in [&socket, &vhost_socket] {
            let _ = std::fs::remove_file(old);
        }
        let beats = heart(&path("vm.sock_9000"));
        let vhost = Command::new(&assets.vhost)
            .args(["--guest-cid", "16", "--tx-buffer-size", "16384", "--socket"])
            .arg(&vhost_socket)
            .arg("--uds-path")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(path("vhost.log")).unwrap())
            .spawn()
            .unwrap();
        wait("vhost-device-vsock", || vhost_socket.exists().then_some(()));

        let root = pki::create_or_load(stack.dir()).unwrap().nsm;
        let signer = pki::write_signer(&root, crate::stack::REGION, &path("nsm")).unwrap();
        let bundle: Vec<String> = signer.bundle.iter().map(|file| file.display().to_string()).collect();
        let qemu = Command::new(assets.qemu.join("qemu-system-x86_64"))
            .arg("-L")
            .arg(assets.qemu.join("firmware"))
            .args(["-M", "nitro-enclave,vsock=c,id=test", "-accel", "tcg", "-smp", "2", "-device", "i8042"])
            .args(["-append", &clock(assets)])
            .args(["-nographic", "-no-reboot", "-m", &format!("{}M", memory()), "-kernel"])
            .arg(eif)
            .arg("-chardev")
            .arg(format!("socket,id=c,path={}", vhost_socket.display()))
            .env("QEMU_NSM_KEY", &signer.key)
            .env("QEMU_NSM_CERT", &signer.certificate)
            .env("QEMU_NSM_CABUNDLE", bundle.join(":"))
            .env("QEMU_NSM_PAYLOAD", if form == PayloadForm::Definite { "definite" } else { "indefinite" })
            .stdin(Stdio::null())
            .stdout(File::create(&console).unwrap())
            .stderr(File::create(path("qemu.log")).unwrap())
            .spawn()
            .unwrap();
        Self { console, qemu, vhost, beats, started: Instant::now() }
    }

    /// What the machine said.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Waits for a text on the console.
    pub fn says(&self, text: &str) -> String {
        let console = || Some(self.console()).filter(|console| console.contains(text));
        match eventually(console) {
            Some(console) => console,
            None => panic!("{text:?} was expected on the console:\n{}", self.console()),
        }
    }

    /// Waits for the heartbeat: how long the boot took.
    pub fn beats(&self) -> Duration {
        let beat = || (self.beats.load(Ordering::SeqCst) > 0).then(|| self.started.elapsed());
        eventually(beat).unwrap_or_else(|| panic!("a heartbeat was expected:\n{}", self.console()))
    }

    /// How many heartbeats were heard.
    pub fn heard(&self) -> usize {
        self.beats.load(Ordering::SeqCst)
    }

    /// Whether the machine ends by itself.
    pub fn ends(&mut self) -> bool {
        eventually(|| self.qemu.try_wait().unwrap()).is_some()
    }

    /// The most memory that QEMU had resident, in bytes: the machine's and its own.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.qemu.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in [&mut self.qemu, &mut self.vhost] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the kernel is told about its clock, which it cannot measure on a busy machine. Not measured:
/// QEMU adds it afterwards.
fn clock(assets: &Assets) -> String {
    let output = Command::new(assets.qemu.join("tsc-khz")).output().unwrap();
    assert!(output.status.success());
    format!("tsc_early_khz={} tsc=reliable", String::from_utf8(output.stdout).unwrap().trim())
}

/// Listens for heartbeats as nitro-cli does, and counts them.
fn heart(socket: &Path) -> Arc<AtomicUsize> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    let beats = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&beats);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut beat = [0];
            if stream.read_exact(&mut beat).is_ok() && beat == [0xb7] && stream.write_all(&beat).is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    beats
}

fn eventually<T>(mut there: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = there() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

fn wait<T>(what: &str, there: impl FnMut() -> Option<T>) -> T {
    eventually(there).unwrap_or_else(|| panic!("{what} was expected in time"))
}

/// A local KMS that is pinned to an image, and the parent of the machine that runs it.
pub struct Site {
    pub assets: Assets,
    pub stack: Stack,
    pub eif: PathBuf,
    folder: PathBuf,
}

impl Site {
    /// The image that would go to EC2, with the configuration of this deployment.
    pub fn new() -> Self {
        let assets = Assets::find();
        let mut stack = Stack::on_files();
        stack.config.machine = true;
        let folder = stack.dir().join("node");
        std::fs::create_dir(&folder).unwrap();
        let eif = folder.join("cofferdam.eif");
        let configuration = stack.config.toml(&folder);
        let mut site = Self { assets, stack, eif, folder };
        let eif = site.eif.clone();
        site.repin(|assets| assets.image(Some(&configuration), &eif));
        site
    }

    /// Makes an image, whose registers KMS and verifiers expect from now on.
    pub fn repin(&mut self, make: impl FnOnce(&Assets) -> Value) {
        let mut pcrs = make(&self.assets);
        pcrs.as_object_mut().unwrap().retain(|name, _| name.starts_with("PCR"));
        self.stack.pin(&[pcrs.clone()]);
        self.stack.pcrs = pcrs;
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn boot(&self) -> Machine {
        self.boot_image(&self.eif)
    }

    pub fn boot_image(&self, eif: &Path) -> Machine {
        Machine::boot(&self.assets, &self.stack, &self.folder, eif, PayloadForm::Indefinite)
    }

    /// On a machine whose module writes documents as AWS's did before mid-2025.
    pub fn boot_before_2025(&self) -> Machine {
        Machine::boot(&self.assets, &self.stack, &self.folder, &self.eif, PayloadForm::Definite)
    }

    /// The parent of the machine.
    pub fn parent(&self) -> Node {
        self.stack.parent_of_machine(&self.folder)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
