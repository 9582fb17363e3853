//! `Signature-Input` (RFC 9421, section 4.1): what a signature covers, and its parameters. Exactly one
//! signature, exactly the components and parameters that `docs/requests.md` lists.

use super::{MAX_LABEL, MAX_NAME, MAX_NONCE, MIN_NONCE, RequestError, reader::Reader};

/// What a signature may cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    Method,
    Path,
    Query,
    ContentDigest,
}

impl Component {
    const ALL: [Self; 4] = [Self::Method, Self::Path, Self::Query, Self::ContentDigest];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Method => "@method",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::ContentDigest => "content-digest",
        }
    }

    /// What a request's signature covers, in the order in which [`super::Signer`] writes it.
    pub(super) fn expected(has_query: bool) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |component| has_query || *component != Self::Query)
    }
}

/// The value of `Signature-Input`, read.
#[derive(Debug)]
pub(super) struct Input<'t> {
    pub(super) label: &'t str,
    /// All after the label: the value of `@signature-params`, in its canonical form.
    pub(super) params: &'t str,
    /// In the order in which they were signed.
    pub(super) components: Vec<Component>,
    pub(super) created: u64,
    pub(super) expires: Option<u64>,
    pub(super) nonce: &'t str,
    pub(super) keyid: &'t str,
    pub(super) tag: &'t str,
}

/// The parameters, as far as they were read.
#[derive(Default)]
struct Params<'t> {
    created: Option<u64>,
    expires: Option<u64>,
    nonce: Option<&'t str>,
    keyid: Option<&'t str>,
    alg: Option<&'t str>,
    tag: Option<&'t str>,
}

impl<'t> Input<'t> {
    pub(super) fn parse(text: &'t str, has_query: bool) -> Result<Self, RequestError> {
        let mut reader = Reader::new(text);
        let label = label(&mut reader).ok_or(RequestError::Malformed(
            "Signature-Input: one label of at most 64 bytes, and = after it,",
        ))?;
        let params = reader.rest();
        let components = components(&mut reader)?;
        let is_covered = |wanted| components.contains(&wanted);
        if components.len() != Component::expected(has_query).count()
            || !Component::expected(has_query).all(is_covered)
        {
            return Err(RequestError::Components);
        }
        let found = Params::read(&mut reader)?;
        let (Some(created), Some(nonce), Some(keyid), Some(alg), Some(tag)) =
            (found.created, found.nonce, found.keyid, found.alg, found.tag)
        else {
            return Err(RequestError::Malformed(
                "Signature-Input: each of the parameters created, nonce, keyid, alg and tag",
            ));
        };
        if alg != "ed25519" {
            return Err(RequestError::Algorithm);
        }
        check_nonce(nonce)?;
        check_name(keyid)?;
        check_name(tag)?;
        if found.expires.is_some_and(|expires| expires <= created) {
            return Err(RequestError::Malformed("expires: a time after created"));
        }
        Ok(Self { label, params, components, created, expires: found.expires, nonce, keyid, tag })
    }
}

/// A label and the `=` after it.
pub(super) fn label<'t>(reader: &mut Reader<'t>) -> Option<&'t str> {
    let label = reader.key().filter(|label| label.len() <= MAX_LABEL)?;
    reader.take("=").then_some(label)
}

/// The inner list, without its parameters. A name that is not one of the four, or that has parameters, is
/// [`RequestError::Components`].
fn components(reader: &mut Reader<'_>) -> Result<Vec<Component>, RequestError> {
    const LIST: RequestError =
        RequestError::Malformed("Signature-Input: a list of names in quotes with one space between them");
    if !reader.take("(") {
        return Err(LIST);
    }
    let mut components = Vec::new();
    if reader.take(")") {
        return Ok(components);
    }
    loop {
        let name = reader.string().ok_or(LIST)?;
        let component = Component::ALL.into_iter().find(|component| component.name() == name);
        match component {
            Some(component) if !components.contains(&component) => components.push(component),
            _ => return Err(RequestError::Components),
        }
        if reader.take(")") {
            return Ok(components);
        }
        if !reader.take(" ") {
            return Err(if reader.take(";") { RequestError::Components } else { LIST });
        }
    }
}

impl<'t> Params<'t> {
    /// All parameters, up to the end of the text.
    fn read(reader: &mut Reader<'t>) -> Result<Self, RequestError> {
        let mut found = Self::default();
        while reader.take(";") {
            let key = reader.key().filter(|_| reader.take("="));
            match key {
                Some("created") => once(&mut found.created, reader.integer()),
                Some("expires") => once(&mut found.expires, reader.integer()),
                Some("nonce") => once(&mut found.nonce, reader.string()),
                Some("keyid") => once(&mut found.keyid, reader.string()),
                Some("alg") => once(&mut found.alg, reader.string()),
                Some("tag") => once(&mut found.tag, reader.string()),
                _ => None,
            }
            .ok_or(RequestError::Malformed(
                "Signature-Input: parameters created, expires, nonce, keyid, alg and tag, none twice and no \
                 other, integers and strings in their canonical form",
            ))?;
        }
        if reader.rest().is_empty() {
            Ok(found)
        } else {
            Err(RequestError::Malformed("Signature-Input: exactly one signature, and nothing after it"))
        }
    }
}

/// Fills an empty place; nothing where there was no value, or already one.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    let is_first = place.is_none();
    *place = value;
    (is_first && place.is_some()).then_some(())
}

/// A `keyid` or a `tag`.
pub(super) fn check_name(text: &str) -> Result<(), RequestError> {
    if (1..=MAX_NAME).contains(&text.len()) && is_visible(text) {
        Ok(())
    } else {
        Err(RequestError::Malformed("keyid and tag: 1 to 128 visible ASCII characters, without \" and \\,"))
    }
}

pub(super) fn check_nonce(text: &str) -> Result<(), RequestError> {
    if (MIN_NONCE..=MAX_NONCE).contains(&text.len()) && is_visible(text) {
        Ok(())
    } else {
        Err(RequestError::Malformed("nonce: 16 to 64 visible ASCII characters, without \" and \\,"))
    }
}

/// Only what a string holds without escapes, and no space.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}
