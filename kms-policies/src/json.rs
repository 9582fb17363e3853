//! JSON as a policy needs it: a repeated member is an error (serde_json would silently keep the
//! last one), and every value knows its path.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use crate::error::{PolicyError, Problem};

/// A JSON value. A number is kept as its text: the policy language compares numbers as such.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        serde_json::from_str(text).map_err(|error: serde_json::Error| {
            PolicyError::at("policy", Problem::Json { line: error.line(), column: error.column() })
        })
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub(crate) path: String,
    pub(crate) value: &'a Json,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Json) -> Self {
        Self { path: "policy".to_owned(), value }
    }

    pub(crate) fn error(&self, problem: Problem) -> PolicyError {
        PolicyError::at(self.path.clone(), problem)
    }

    pub(crate) fn text(&self) -> Result<&'a str, PolicyError> {
        match self.value {
            Json::Text(text) => Ok(text),
            _ => Err(self.error(Problem::Expected("a string"))),
        }
    }

    /// The members of an object, each with its path.
    pub(crate) fn members(&self) -> Result<Vec<(&'a str, Node<'a>)>, PolicyError> {
        let Json::Object(members) = self.value else {
            return Err(self.error(Problem::Expected("an object")));
        };
        let child =
            |name: &str| if self.path == "policy" { name.into() } else { format!("{}.{name}", self.path) };
        Ok(members.iter().map(|(name, value)| (name.as_str(), Node { path: child(name), value })).collect())
    }

    /// The items of an array, or the one value that stands for an array of one. Never empty.
    pub(crate) fn one_or_many(&self) -> Result<Vec<Node<'a>>, PolicyError> {
        match self.value {
            Json::Array(items) if items.is_empty() => {
                Err(self.error(Problem::Expected("at least one value")))
            }
            Json::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(at, value)| Node { path: format!("{}[{at}]", self.path), value })
                .collect()),
            _ => Ok(vec![self.clone()]),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            if object.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a member is repeated"));
            }
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}
