//! Ramdisks as other people's programs read them: gzip, GNU cpio and bsdtar, where they are installed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use cofferdam_eif::Ramdisk;

fn tree() -> Ramdisk {
    let mut tree = Ramdisk::new();
    tree.file("init", 0o755, (0..200_000u32).flat_map(u32::to_le_bytes).collect()).unwrap();
    tree.file("etc/cofferdam/enclave.toml", 0o600, b"version = 1\n".to_vec()).unwrap();
    tree.folder("proc", 0o555).unwrap();
    tree.file("three", 0o644, b"abc".to_vec()).unwrap();
    tree
}

const NAMES: &str = "etc\netc/cofferdam\netc/cofferdam/enclave.toml\ninit\nproc\nthree\n";

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("{program} is not installed: nothing to compare with");
    }
    found.is_ok()
}

/// Runs a command in a folder where `ramdisk` is the compressed archive and `archive` the archive.
fn run(folder: &Path, command: &str) -> String {
    fs::write(folder.join("ramdisk"), tree().compressed(0).unwrap()).unwrap();
    fs::write(folder.join("archive"), tree().archive(0).unwrap()).unwrap();
    let output = Command::new("sh").args(["-euc", command]).current_dir(folder).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn gzip_finds_the_archive_whole() {
    if installed("gzip") {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), "gzip -t < ramdisk; gzip -dc < ramdisk | cmp - archive");
    }
}

#[test]
fn gnu_cpio_lists_and_unpacks_what_was_packed() {
    if !installed("cpio") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), "cpio --quiet -t < archive"), NAMES);
    let listed = run(folder.path(), "TZ=UTC LC_ALL=C cpio --quiet -itvn < archive");
    assert!(listed.contains("-rwxr-xr-x   1 0        0          800000 Jan  1  1970 init"), "{listed}");
    run(folder.path(), "mkdir out; cd out; cpio --quiet -i --no-preserve-owner < ../archive");
    let out = folder.path().join("out");
    assert_eq!(fs::read(out.join("etc/cofferdam/enclave.toml")).unwrap(), b"version = 1\n");
    assert_eq!(fs::metadata(out.join("init")).unwrap().len(), 800_000);
    assert_eq!(fs::metadata(out.join("init")).unwrap().permissions().mode(), 0o100_755);
    assert_eq!(fs::metadata(out.join("proc")).unwrap().permissions().mode(), 0o040_555);
}

#[test]
fn bsdtar_lists_what_was_packed() {
    if installed("bsdtar") {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(folder.path(), "bsdtar -tf ramdisk"), NAMES);
    }
}

#[test]
fn the_compressed_bytes_are_the_same_on_every_machine_and_of_every_build() {
    // Whoever changes the compressor changes every image: PCRs are told anew then.
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        run(folder.path(), "sha256sum < ramdisk"),
        "034d4e8c517b8b0aca25b72845a0e43e356414dd4c2ee6c24c8255e849196e5c  -\n"
    );
    let packed = tree().compressed(0).unwrap();
    assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    assert_ne!(tree().compressed(1).unwrap(), packed);
}
