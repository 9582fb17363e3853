//! Images that AWS's own crate made (`tests/vectors/eif`): read, measured, verified, and built again.

mod common;

use cofferdam_eif::{
    Architecture, EifError, Metadata, Parts, Ramdisk, Reference, SectionKind, SignatureError, Signer,
    layout::HEADER_LENGTH,
};
use common::{COMMAND_LINE, build, read, text, vector};

const FOUR: [&str; 4] = ["ramdisk0.bin", "ramdisk1.bin", "kernel.bin", "ramdisk0.bin"];

/// Every image, and the measurements that AWS's crate printed.
const IMAGES: [(&str, &str); 6] = [
    ("two-ramdisks.eif", "expected.json"),
    ("one-ramdisk.eif", "one-ramdisk.json"),
    ("four-ramdisks.eif", "four-ramdisks.json"),
    ("signed.eif", "signed.json"),
    ("signed-later.eif", "signed-later.json"),
    ("signed-again.eif", "signed-again.json"),
];

#[test]
fn the_same_inputs_give_awss_bytes() {
    let built = build(
        Architecture::X86_64,
        "reboot=k panic=30 console=ttyS0",
        "probe.json",
        &["ramdisk0.bin", "ramdisk1.bin"],
    );
    assert_eq!(built, vector("two-ramdisks.eif"));
    let built = build(Architecture::Aarch64, COMMAND_LINE, "probe.json", &["ramdisk0.bin"]);
    assert_eq!(built, vector("one-ramdisk.eif"));
    let built = build(Architecture::X86_64, COMMAND_LINE, "docker.json", &FOUR);
    assert_eq!(built, vector("four-ramdisks.eif"));
}

#[test]
fn images_of_awss_have_awss_measurements() {
    for (image, measurements) in IMAGES {
        let measured = *read(&vector(image)).unwrap().measurements();
        let reference = Reference::parse(&vector(measurements)).unwrap();
        assert_eq!(reference.check(&measured), Ok(()), "{image}");
        assert_eq!(reference.indices().count(), measured.registers().count(), "{image}");
        for (other, _) in IMAGES {
            // Registers that the reference does not name are not compared: PCR8 of an unsigned image.
            let other = *read(&vector(other)).unwrap().measurements();
            let same = reference.indices().count() == 3 && other.pcr0 == measured.pcr0 || other == measured;
            assert_eq!(reference.check(&other).is_ok(), same, "{image}");
        }
    }
}

#[test]
fn what_awss_images_say_is_read() {
    let image = read(&vector("four-ramdisks.eif")).unwrap();
    assert_eq!(image.command_line(), COMMAND_LINE);
    let header = image.header();
    assert_eq!(
        (header.architecture, header.default_memory, header.default_cpus),
        (Architecture::X86_64, 1 << 30, 2)
    );
    use SectionKind::{CommandLine, Kernel, Metadata, Ramdisk};
    let kinds: Vec<_> = image.sections().iter().map(|section| section.kind).collect();
    assert_eq!(kinds, [Kernel, CommandLine, Metadata, Ramdisk, Ramdisk, Ramdisk, Ramdisk]);
    assert_eq!(image.sections()[0].sha256, image.sections()[5].sha256);
    let metadata = image.metadata().unwrap();
    assert_eq!(metadata.build_metadata.build_tool, "nitro-cli");
    assert_eq!(metadata.docker_info["Config"]["Env"][1], "HELLO=Wörld");
    assert_eq!(metadata.custom_metadata["ticket"], 17);
    assert_eq!(read(&vector("one-ramdisk.eif")).unwrap().header().architecture, Architecture::Aarch64);
}

#[test]
fn awss_signatures_verify_on_each_curve_while_the_certificate_is_valid() {
    for name in ["signed.eif", "signed-later.eif", "signed-again.eif"] {
        let image = read(&vector(name)).unwrap();
        let pcr0 = image.measurements().pcr0;
        let signature = image.signature().unwrap();
        let certificate = signature.certificate();
        assert!(certificate.subject().contains("CN=image-signer"), "{}", certificate.subject());
        let (from, to) = (certificate.valid_from(), certificate.valid_to());
        assert_eq!(to - from, 20 * 24 * 3600);
        assert_eq!(signature.verify(&pcr0, from), Ok(()), "{name}");
        assert_eq!(signature.verify(&pcr0, to), Ok(()), "{name}");
        for at in [from - 1, to + 1, 0, u64::MAX] {
            assert_eq!(signature.verify(&pcr0, at), Err(SignatureError::Validity { from, to, at }), "{name}");
        }
        let other = image.measurements().pcr1;
        assert_eq!(signature.verify(&other, from), Err(SignatureError::Image), "{name}");
    }
}

#[test]
fn a_signature_that_replaced_another_keeps_its_predecessors_size_in_the_table() {
    // A fault of AWS's `sign-eif`; AWS's own readers take the section's size.
    let image = read(&vector("signed-again.eif")).unwrap();
    let (entry, section) = (image.header().table.last().unwrap(), image.sections().last().unwrap());
    assert_eq!(section.kind, SectionKind::Signature);
    assert_eq!((entry.size, section.size), (2008, 2284));
}

#[test]
fn an_image_that_we_sign_differs_from_awss_in_the_signature_alone() {
    let signer = Signer::new(&text("p384.key.pem"), &text("p384.certificate.pem")).unwrap();
    let (kernel, first, second) = (vector("kernel.bin"), vector("ramdisk0.bin"), vector("ramdisk1.bin"));
    let metadata = Metadata::parse(&vector("docker.json")).unwrap();
    let parts = Parts {
        architecture: Architecture::X86_64,
        kernel: &kernel,
        command_line: COMMAND_LINE,
        ramdisks: &[&first, &second],
        metadata: &metadata,
    };
    let (bytes, image) = cofferdam_eif::build(&parts, Some(&signer)).unwrap();
    let theirs = vector("signed.eif");
    let their_image = read(&theirs).unwrap();
    assert_eq!(image.measurements(), their_image.measurements());
    let start = usize::try_from(their_image.sections().last().unwrap().offset).unwrap();
    assert_eq!(bytes[HEADER_LENGTH..start], theirs[HEADER_LENGTH..start]);
    let at = signer.certificate().valid_from();
    assert_eq!(image.signature().unwrap().verify(&image.measurements().pcr0, at), Ok(()));
    // The measured part is the same without a signature.
    let (_, unsigned) = cofferdam_eif::build(&parts, None).unwrap();
    assert_eq!(unsigned.measurements().pcr0, image.measurements().pcr0);
    assert_eq!((unsigned.measurements().pcr8, unsigned.signature()), (None, None));
}

#[test]
fn a_ramdisk_is_what_gnu_cpio_writes() {
    let mut tree = Ramdisk::new();
    tree.file("init", 0o755, b"#!/bin/sh\n".to_vec()).unwrap();
    tree.file("etc/cofferdam/enclave.toml", 0o600, b"version = 1\n".to_vec()).unwrap();
    tree.folder("etc/cofferdam/empty", 0o755).unwrap();
    tree.file("etc/nothing", 0o644, vec![]).unwrap();
    tree.file("etc-x/é", 0o644, b"x".to_vec()).unwrap();
    tree.folder("dev", 0o755).unwrap();
    assert_eq!(tree.archive(0).unwrap(), vector("tree.cpio"));
}

#[test]
fn parts_that_fit_no_image_are_refused() {
    let metadata = Metadata::new("n", "v", None, 0);
    let part: &[u8] = b"x";
    let good = Parts {
        architecture: Architecture::X86_64,
        kernel: part,
        command_line: "",
        ramdisks: &[part; 28],
        metadata: &metadata,
    };
    assert_eq!(cofferdam_eif::build(&good, None).unwrap().1.sections().len(), 31);
    let signer = Signer::new(&text("p384.key.pem"), &text("p384.certificate.pem")).unwrap();
    assert_eq!(cofferdam_eif::build(&good, Some(&signer)).unwrap().1.sections().len(), 32);

    let count = |found| EifError::RamdiskCount { limit: 28, found };
    assert_eq!(cofferdam_eif::build(&Parts { ramdisks: &[], ..good }, None).unwrap_err(), count(0));
    assert_eq!(cofferdam_eif::build(&Parts { ramdisks: &[part; 29], ..good }, None).unwrap_err(), count(29));
    let empty = |kind| EifError::Empty(kind);
    assert_eq!(
        cofferdam_eif::build(&Parts { kernel: &[], ..good }, None).unwrap_err(),
        empty(SectionKind::Kernel)
    );
    assert_eq!(
        cofferdam_eif::build(&Parts { ramdisks: &[part, &[]], ..good }, None).unwrap_err(),
        empty(SectionKind::Ramdisk)
    );
    for bad in ["a\nb", "a\0", "é", "\t", &"x".repeat(2048)] {
        let refused = cofferdam_eif::build(&Parts { command_line: bad, ..good }, None).unwrap_err();
        assert!(matches!(refused, EifError::CommandLine(_)), "{bad:?}");
    }
    assert!(cofferdam_eif::build(&Parts { command_line: &"x".repeat(2047), ..good }, None).is_ok());
    let long = Metadata::new(&"n".repeat(1 << 20), "v", None, 0);
    let refused = cofferdam_eif::build(&Parts { metadata: &long, ..good }, None).unwrap_err();
    assert!(matches!(refused, EifError::TooLong { kind: SectionKind::Metadata, .. }));
}

#[test]
fn a_boundary_that_moves_between_kernel_command_line_and_first_ramdisk_is_not_measured() {
    // So it is in AWS's format: PCR0 and PCR1 are over the sections' contents without their sizes.
    // docs/image.md says what follows from it.
    let metadata = Metadata::new("n", "v", None, 0);
    let measure = |kernel: &str, command_line: &str, first: &str, second: &str| {
        let parts = Parts {
            architecture: Architecture::X86_64,
            kernel: kernel.as_bytes(),
            command_line,
            ramdisks: &[first.as_bytes(), second.as_bytes()],
            metadata: &metadata,
        };
        *cofferdam_eif::build(&parts, None).unwrap().1.measurements()
    };
    let original = measure("kernel", "panic=30 quiet", "first", "second");
    assert_eq!(measure("kernelpanic=30", " quiet", "first", "second"), original);
    assert_eq!(measure("kernel", "panic=30 quietfir", "st", "second"), original);
    // Between the first ramdisk and the second it is in PCR1 and PCR2, and not in PCR0.
    let moved = measure("kernel", "panic=30 quiet", "firstsec", "ond");
    assert_eq!(moved.pcr0, original.pcr0);
    assert!(moved.pcr1 != original.pcr1 && moved.pcr2 != original.pcr2);
}
