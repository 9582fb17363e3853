//! Commands as people paste them into a shell.

use std::path::Path;

/// One argument, in quotes where a shell would read it in another way.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@,+".contains(c);
    let bare = !text.is_empty() && text.chars().all(plain);
    if bare { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The same of a path.
pub(crate) fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_one_argument() {
        for text in ["", "a b", "a'b", "$(id)", "a;b", "*", "plain/path-1.json", "~x"] {
            let shell = std::process::Command::new("sh")
                .args(["-c", &format!("printf '<%s>' {}", quoted(text))])
                .output();
            assert_eq!(String::from_utf8(shell.unwrap().stdout).unwrap(), format!("<{text}>"));
        }
    }
}
