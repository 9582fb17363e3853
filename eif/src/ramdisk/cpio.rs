//! The archive format "newc" of cpio. Source: Linux,
//! `Documentation/driver-api/early-userspace/buffer-format.rst`; byte for byte what GNU cpio writes
//! with `-o -H newc --reproducible -R +0:+0` for the same names in the same order.

use std::collections::BTreeMap;

use super::{Entry, Kind};

/// The name that ends an archive.
pub(super) const TRAILER: &str = "TRAILER!!!";
/// The archive is filled up to a multiple of this, as cpio does for tapes.
const BLOCK: usize = 512;
/// Headers with their names, and contents, are filled up to a multiple of this.
const ALIGNMENT: usize = 4;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// Writes the entries in their order, numbered from 0.
pub(super) fn write(entries: &BTreeMap<String, Entry>, time: u32) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (name, entry)) in (0..).zip(entries) {
        let (kind, links, contents) = match &entry.kind {
            Kind::Folder => (FOLDER, folders_in(entries, name).saturating_add(2), &[][..]),
            Kind::File(contents) => (FILE, 1, contents.as_slice()),
        };
        header(&mut archive, name, [number, kind | entry.mode, links, time], contents.len());
        archive.extend_from_slice(contents);
        fill(&mut archive, ALIGNMENT);
    }
    header(&mut archive, TRAILER, [0, 0, 1, 0], 0);
    fill(&mut archive, BLOCK);
    archive
}

/// How many folders lie directly in a folder: each links to it by its `..`.
fn folders_in(entries: &BTreeMap<String, Entry>, name: &str) -> u32 {
    let first = format!("{name}/");
    let within = entries.range(first.clone()..).map_while(|(path, entry)| {
        path.strip_prefix(&first).map(|rest| !rest.contains('/') && entry.kind == Kind::Folder)
    });
    u32::try_from(within.filter(|direct| *direct).count()).unwrap_or(u32::MAX)
}

/// Fourteen fields in hexadecimal and the name, ended by a zero byte.
fn header(archive: &mut Vec<u8>, name: &str, [inode, mode, links, time]: [u32; 4], size: usize) {
    // Both were bounded when the entry was added.
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let name_size = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_add(1);
    let (user, group, device, check) = (0, 0, [0; 4], 0);
    let fields = [inode, mode, user, group, links, time, size].into_iter().chain(device);
    archive.extend_from_slice(b"070701");
    for field in fields.chain([name_size, check]) {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    fill(archive, ALIGNMENT);
}

fn fill(archive: &mut Vec<u8>, multiple: usize) {
    archive.resize(archive.len().next_multiple_of(multiple), 0);
}
