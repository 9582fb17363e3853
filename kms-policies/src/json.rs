//! JSON as a policy needs it: a repeated member is an error (serde_json would silently keep the
//! last one), and every value knows its path, its line and its column.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::error::{PolicyError, Position, Problem};

/// How deep a policy may nest. The language needs seven levels.
const MAX_DEPTH: usize = 16;

/// A JSON value, and where in its text it begins, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Json {
    at: usize,
    kind: JsonKind,
}

/// A number is kept as its text: the policy language compares numbers as such.
#[derive(Debug, Clone, PartialEq)]
enum JsonKind {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let raw: &RawValue = read(text, text)?;
        build(raw, text, MAX_DEPTH)
    }
}

/// Builds the tree; each level reads its slice of the text once more, which bounds the work by
/// depth times length.
fn build(raw: &RawValue, whole: &str, depth: usize) -> Result<Json, PolicyError> {
    let slice = raw.get();
    let at = offset(slice, whole);
    let Some(depth) = depth.checked_sub(1) else {
        let problem = Problem::Expected("JSON of at most 16 levels");
        return Err(PolicyError::new("policy", Position::of(whole, at), problem));
    };
    let kind = match slice.bytes().next() {
        Some(b'{') => {
            let Members(members) = read(slice, whole)?;
            let members = members.into_iter().map(|(name, value)| Ok((name, build(value, whole, depth)?)));
            JsonKind::Object(members.collect::<Result<_, PolicyError>>()?)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = read(slice, whole)?;
            JsonKind::Array(
                items.into_iter().map(|item| build(item, whole, depth)).collect::<Result<_, _>>()?,
            )
        }
        Some(b'"') => JsonKind::Text(read(slice, whole)?),
        Some(b't' | b'f') => JsonKind::Bool(read(slice, whole)?),
        Some(b'n') => JsonKind::Null,
        _ => JsonKind::Number(slice.to_owned()),
    };
    Ok(Json { at, kind })
}

/// Where `slice`, which is a part of `whole`, begins.
pub(crate) fn offset(slice: &str, whole: &str) -> usize {
    slice.as_ptr().addr().saturating_sub(whole.as_ptr().addr()).min(whole.len())
}

pub(crate) fn read<'a, T: Deserialize<'a>>(slice: &'a str, whole: &'a str) -> Result<T, PolicyError> {
    serde_json::from_str(slice).map_err(|error: serde_json::Error| {
        // The error counts lines and columns from the slice's start.
        let before: usize =
            slice.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let within = before.saturating_add(error.column().saturating_sub(1));
        let at = Position::of(whole, offset(slice, whole).saturating_add(within));
        PolicyError::new("policy", at, Problem::Json)
    })
}

/// The members of an object in their order, each once.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = access.next_entry::<String, &'de RawValue>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a member is repeated"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub(crate) path: String,
    whole: &'a str,
    value: &'a Json,
}

impl<'a> Node<'a> {
    /// The root of a text that was parsed.
    pub(crate) fn root(value: &'a Json, whole: &'a str) -> Self {
        Self { path: "policy".to_owned(), whole, value }
    }

    pub(crate) fn error(&self, problem: Problem) -> PolicyError {
        PolicyError::new(self.path.clone(), self.position(), problem)
    }

    /// Where it begins.
    pub(crate) fn position(&self) -> Position {
        Position::of(self.whole, self.value.at)
    }

    fn child(&self, path: String, value: &'a Json) -> Self {
        Self { path, whole: self.whole, value }
    }

    /// The same under another path.
    pub(crate) fn named(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&'a str> {
        match &self.value.kind {
            JsonKind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Result<&'a str, PolicyError> {
        self.as_text().ok_or_else(|| self.error(Problem::Expected("a string")))
    }

    /// A string, or a number or boolean as its text.
    pub(crate) fn scalar(&self) -> Result<String, PolicyError> {
        match &self.value.kind {
            JsonKind::Text(text) | JsonKind::Number(text) => Ok(text.clone()),
            JsonKind::Bool(value) => Ok(value.to_string()),
            _ => Err(self.error(Problem::Expected("a string, a number or a boolean"))),
        }
    }

    /// The members of an object, each with its path.
    pub(crate) fn members(&self) -> Result<Vec<(&'a str, Node<'a>)>, PolicyError> {
        let JsonKind::Object(members) = &self.value.kind else {
            return Err(self.error(Problem::Expected("an object")));
        };
        let path =
            |name: &str| if self.path == "policy" { name.into() } else { format!("{}.{name}", self.path) };
        Ok(members.iter().map(|(name, value)| (name.as_str(), self.child(path(name), value))).collect())
    }

    /// The items of an array, or the one value that stands for an array of one. Never empty.
    pub(crate) fn one_or_many(&self) -> Result<Vec<Node<'a>>, PolicyError> {
        match &self.value.kind {
            JsonKind::Array(items) if items.is_empty() => {
                Err(self.error(Problem::Expected("at least one value")))
            }
            JsonKind::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(at, value)| self.child(format!("{}[{at}]", self.path), value))
                .collect()),
            _ => Ok(vec![self.clone()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> (usize, usize) {
        let at = Json::parse(text).unwrap_err().at;
        (at.line, at.column)
    }

    #[test]
    fn an_error_names_line_and_column() {
        assert_eq!(position("{\n  \"a\": trux\n}"), (2, 11));
        assert_eq!(position("{\"a\": {\n \"é\": 1,\n \"é\": 2}}").0, 3);
        assert_eq!(position(""), (1, 1));
        assert_eq!(position("{} x"), (1, 4));
        assert_eq!(position(&"[".repeat(100_000)).0, 1);
        assert_eq!(position(&format!("{}{}", "[".repeat(17), "]".repeat(17))), (1, 17));
    }

    #[test]
    fn a_value_knows_where_it_begins() {
        let text = "{\n  \"é\": [1, \"x\"]\n}";
        let json = Json::parse(text).unwrap();
        let (_, array) = Node::root(&json, text).members().unwrap().remove(0);
        let item = array.one_or_many().unwrap().remove(1);
        assert_eq!(item.path, "é[1]");
        assert_eq!((item.position().line, item.position().column), (2, 12));
    }
}
