//! What each section asks, in words for everyone: the question, what was checked, and what that does
//! not show.

use super::report::{Section, SectionId, Verdict};
use crate::clock;

/// A time as people read it: `2025-01-06 16:07:05 UTC`.
pub(crate) fn moment(milliseconds: u64) -> String {
    let text = clock::format(milliseconds);
    let parts = text.strip_suffix('Z').and_then(|text| text.split_once('T'));
    match parts.and_then(|(date, time)| Some((date, time.split('.').next()?))) {
        Some((date, time)) => format!("{date} {time} UTC"),
        None => text,
    }
}

/// The same of a text in RFC 3339; any other text as it is.
pub(crate) fn moment_of(text: &str) -> String {
    clock::parse(text).map_or_else(|_| text.to_owned(), moment)
}

/// So many of them.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A section that was not looked at yet.
pub(crate) fn section(id: SectionId) -> Section {
    let (title, question, checked, limits) = words(id);
    Section {
        id,
        title,
        question,
        verdict: Verdict::NotLookedAt,
        asked: true,
        why: None,
        checked,
        limits,
        evidence: Vec::new(),
        tables: Vec::new(),
        findings: Vec::new(),
        repeat: Vec::new(),
    }
}

/// Title, question, what was checked, what it does not show.
const fn words(id: SectionId) -> (&'static str, &'static str, &'static str, &'static str) {
    match id {
        SectionId::Enclave => (
            "The running enclave",
            "Is the program that runs now the one that was reviewed?",
            "The enclave was sent a random number that nobody had used before. Its hardware answered with a \
             signed statement that names the program and repeats the number; the signature was checked \
             up to the root certificate.",
            "It shows which program runs, not what the program does: that is in its source. It shows one \
             enclave at one moment.",
        ),
        SectionId::Image => (
            "The rebuilt image",
            "Does the reviewed source really give that program?",
            "An image that was built from the source, away from the operator's machines, was measured \
             here. Its measurements were compared with the expected ones and with those that the running \
             enclave reported.",
            "It shows that the two programs are the same, not that the source is free of faults.",
        ),
        SectionId::Policy => (
            "The rules in force",
            "Does the enclave follow the rules that the operators signed?",
            "The enclave's own statement names the fingerprint of the rules that it follows. It was compared \
             with the file, and the file's signatures with the operators' keys in the measured \
             configuration.",
            "Whether the rules are wise is for people to judge: read them with `cofferdam policy show`.",
        ),
        SectionId::KeyPolicy => (
            "Who can unlock the keys",
            "Can anyone but the attested program decrypt the deposit keys?",
            "Everyone who might try was asked about: the machines' own role, the administrators, other roles, \
             the account's owner, other accounts; without a statement of the hardware, with that of a \
             debug image, and with that of another program. AWS's rules decided each request.",
            "Administrators of the key can change its policy tomorrow: watch that with CloudTrail. The policy \
             is the one in the file; fetch it yourself. IAM policies are taken to allow everything.",
        ),
        SectionId::Bucket => (
            "The storage",
            "Can anyone lose, overwrite or publish what is stored?",
            "Everyone who might try was asked about: deleting, hiding or overwriting a record, switching the \
             protection off, reading from outside, writing without encryption on the way. The bucket's own \
             settings were read as well.",
            "The settings are those in the files; fetch them yourself. The root user of the account can always \
             replace a bucket's policy, and closing the account ends everything.",
        ),
        SectionId::Log => (
            "The log",
            "Is the record of everything that the enclave did complete and unchanged?",
            "Every line was recomputed: each contains the fingerprint of the line before, and the enclave \
             signed where the log stands. The running log was compared with it and with what a witness \
             remembers, as far as these were given.",
            "What was cut off after the last signature that anyone outside saw does not show: keep a \
             witness. A second log that nobody is shown does not show either.",
        ),
        SectionId::Addresses => (
            "The deposit addresses",
            "Were customers' addresses made inside the attested program?",
            "A random sample was drawn. Each address has a certificate, signed by the enclave's own key; each \
             was followed from the address up to the root certificate.",
            "A sample shows what is likely of all, not what is certain of each: any one can be checked with \
             `cofferdam address verify`.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_as_people_read_them() {
        assert_eq!(moment(1_736_179_625_472), "2025-01-06 16:07:05 UTC");
        assert_eq!(moment(1_736_179_625_000), "2025-01-06 16:07:05 UTC");
        assert_eq!(moment(u64::MAX), "18446744073709551615 ms after 1970");
        assert_eq!(moment_of("2025-01-06T17:07:05.1+01:00"), "2025-01-06 16:07:05 UTC");
        assert_eq!(moment_of("<yesterday>"), "<yesterday>");
        assert_eq!(
            (counted(1, "boot", "boots"), counted(0, "boot", "boots")),
            ("1 boot".into(), "0 boots".into())
        );
    }
}
