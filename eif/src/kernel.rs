//! The version of a kernel, as the kernel itself says it. Source: Linux,
//! `Documentation/arch/x86/boot.rst`, fields `header` and `kernel_version`.

/// Where a bzImage says `HdrS`.
const MAGIC_AT: usize = 0x202;
/// Where it names the place of its version, counted from 0x200.
const POINTER_AT: usize = 0x20e;
/// Longer than any version that Linux writes.
const MAX_VERSION: usize = 64;

/// The version of a bzImage, such as `6.12.117`; nothing for what is no bzImage (as on Arm) or
/// says something that is no version.
pub fn kernel_version(kernel: &[u8]) -> Option<&str> {
    if kernel.get(MAGIC_AT..)?.get(..4)? != b"HdrS" {
        return None;
    }
    let pointer = kernel.get(POINTER_AT..)?.first_chunk::<2>()?;
    let at = usize::from(u16::from_le_bytes(*pointer)).checked_add(0x200)?;
    // The version ends where the builder's name begins, or the text.
    let text = kernel.get(at..)?;
    let end = text.iter().take(MAX_VERSION).position(|byte| matches!(byte, 0 | b' '))?;
    let version = str::from_utf8(text.get(..end)?).ok()?;
    let known = |c: char| c.is_ascii_alphanumeric() || ".-_+~".contains(c);
    (version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(known)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bzimage(pointer: u16, text: &[u8]) -> Vec<u8> {
        let mut kernel = vec![0; 0x3000];
        kernel[MAGIC_AT..][..4].copy_from_slice(b"HdrS");
        kernel[POINTER_AT..][..2].copy_from_slice(&pointer.to_le_bytes());
        kernel[0x2000..][..text.len()].copy_from_slice(text);
        kernel
    }

    #[test]
    fn the_version_is_the_first_word_of_the_kernels_own_text() {
        let kernel = bzimage(0x1e00, b"6.12.117-cofferdam+ (user@host) #1 SMP\0");
        assert_eq!(kernel_version(&kernel), Some("6.12.117-cofferdam+"));
    }

    #[test]
    fn what_is_no_bzimage_has_no_version() {
        let endless = [b'1'; 0x1000];
        for kernel in [
            vec![],
            vec![0; 0x204],
            vec![0; 0x3000],
            bzimage(0xffff, b"6.1 \0"),
            bzimage(0x1e00, b"\0"),
            bzimage(0x1e00, b"linux \0"),
            bzimage(0x1e00, b"6\x1b[2J \0"),
            bzimage(0x1e00, &endless),
        ] {
            assert_eq!(kernel_version(&kernel), None);
        }
        let cut = bzimage(0x1e00, b"6.12.117 x");
        for length in 0..cut.len() {
            let _ = kernel_version(&cut[..length]);
        }
    }
}
