//! Amazon's own crate, aws-nitro-enclaves-image-format 0.8.1, as an oracle.
//!
//!   oracle build OUTPUT KERNEL COMMAND-LINE METADATA.json FLAGS KEY|- CERTIFICATE|- RAMDISK...
//!   oracle sign IMAGE KEY CERTIFICATE
//!   oracle describe IMAGE
//!
//! `build` and `describe` print JSON; `describe` says what that crate makes of an image: whether the
//! CRC is right, its measurements, whether the signature verifies and is over PCR0.
use std::{fs, path::Path};

use aws_nitro_enclaves_image_format::{
    defs::EifIdentityInfo,
    utils::{EifBuilder, EifSigner, PcrSignatureChecker, SignKeyData, eif_reader::EifReader},
};
use serde_json::json;
use sha2::{Digest, Sha384};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["build", output, kernel, command_line, metadata, flags, key, certificate, ramdisks @ ..] => {
            let metadata: EifIdentityInfo =
                serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
            let signer =
                (*key != "-").then(|| SignKeyData::new(key, Path::new(certificate)).unwrap());
            let mut builder = EifBuilder::new(
                Path::new(kernel),
                (*command_line).to_owned(),
                signer,
                Sha384::new(),
                flags.parse().unwrap(),
                metadata,
            );
            for ramdisk in ramdisks {
                builder.add_ramdisk(Path::new(ramdisk));
            }
            let measured = builder.write_to(&mut fs::File::create(output).unwrap());
            println!("{}", serde_json::to_string_pretty(&json!({"Measurements": measured})).unwrap());
        }
        ["sign", image, key, certificate] => {
            let data = SignKeyData::new(key, Path::new(certificate)).unwrap();
            EifSigner::new(Some(data)).unwrap().sign_image(image).unwrap();
        }
        ["describe", image] => {
            let mut reader = EifReader::from_eif((*image).to_owned()).unwrap();
            let measured = reader.get_measurements().unwrap();
            let signature = reader.signature_section.is_some().then(|| {
                let checked = PcrSignatureChecker::from_eif(image).unwrap().verify();
                let certificate = reader.get_certificate_info(measured.clone());
                json!({
                    "verify": checked.err(),
                    "pcr0": reader.sign_check,
                    "certificate": certificate.map(|c| json!({
                        "issuer": c.issuer_name, "from": c.not_before, "to": c.not_after,
                    })).unwrap_or_else(|error| json!(error)),
                })
            });
            let header = reader.get_header();
            let described = json!({
                "version": header.version, "flags": header.flags, "sections": header.num_sections,
                "crc": reader.check_crc(), "Measurements": measured, "signature": signature,
                "metadata": reader.get_metadata(),
            });
            println!("{}", serde_json::to_string_pretty(&described).unwrap());
        }
        _ => panic!("see the first lines of the source"),
    }
}
