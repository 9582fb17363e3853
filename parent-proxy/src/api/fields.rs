//! The fields of JSON objects, read strictly: each is asked for by name, once, with its type; what nobody
//! asked for is refused. A refusal names the field, says what it is, and never repeats its value.

use protocol::NameError;

use super::{Problem, input::Json};

/// What is found where a field must be and is not.
const NOTHING: &str = "nothing";

/// The fields of an object, taken one by one.
pub(super) struct Fields {
    path: String,
    entries: Vec<(String, Json)>,
}

impl Fields {
    /// Of the object at `path`, which is empty for the body itself.
    pub(super) fn new(json: Json, path: &str) -> Result<Self, Problem> {
        match json {
            Json::Object(entries) => Ok(Self { path: path.to_owned(), entries }),
            other if path.is_empty() => {
                Err(Problem::malformed(format!("expected a JSON object, found {}", other.described())))
            }
            other => Err(Problem::field(path, "an object", other.described())),
        }
    }

    /// The field's name with the path to it.
    pub(super) fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// A value that may be missing.
    pub(super) fn take(&mut self, field: &str) -> Result<Option<Json>, Problem> {
        let Some(at) = self.entries.iter().position(|(name, _)| name == field) else { return Ok(None) };
        let (_, value) = self.entries.swap_remove(at);
        if self.entries.iter().any(|(name, _)| name == field) {
            return Err(Problem::field(self.name(field), "the field once", "it again"));
        }
        Ok(Some(value))
    }

    /// A text that may be missing.
    pub(super) fn text<T>(
        &mut self,
        field: &str,
        parse: impl FnOnce(String) -> Result<T, NameError>,
    ) -> Result<Option<T>, Problem> {
        match self.take(field)? {
            None => Ok(None),
            Some(Json::Text(text)) => {
                let found = format!("a string of {} bytes", text.len());
                let parsed = parse(text).map_err(|error| Problem::name(self.name(field), &error, found));
                parsed.map(Some)
            }
            Some(other) => Err(self.of_type(field, "a string", &other)),
        }
    }

    /// A text for which null stands as well where there is none.
    pub(super) fn optional_text<T>(
        &mut self,
        field: &str,
        parse: impl FnOnce(String) -> Result<T, NameError>,
    ) -> Result<Option<T>, Problem> {
        match self.take(field)? {
            None | Some(Json::Null) => Ok(None),
            Some(value) => {
                self.entries.push((field.to_owned(), value));
                self.text(field, parse)
            }
        }
    }

    /// A whole number that may be missing.
    pub(super) fn number<T>(
        &mut self,
        field: &str,
        parse: impl FnOnce(u64) -> Result<T, NameError>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(field)? else { return Ok(None) };
        // A number of another kind is none at all; the name's own words say best which would be one.
        let (number, found) = match value {
            Json::Number(number) => (number, "a whole number out of these bounds".into()),
            _ => (u64::MAX, value.described()),
        };
        match parse(number) {
            Ok(parsed) if matches!(value, Json::Number(_)) => Ok(Some(parsed)),
            Ok(_) => Err(self.of_type(field, "a whole number", &value)),
            Err(error) => Err(Problem::name(self.name(field), &error, found)),
        }
    }

    /// An array that must be there.
    pub(super) fn array(&mut self, field: &str) -> Result<Vec<Json>, Problem> {
        self.optional_array(field)?.ok_or_else(|| self.missing(field))
    }

    /// An array that may be missing.
    pub(super) fn optional_array(&mut self, field: &str) -> Result<Option<Vec<Json>>, Problem> {
        match self.take(field)? {
            None => Ok(None),
            Some(Json::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.of_type(field, "an array", &other)),
        }
    }

    pub(super) fn missing(&self, field: &str) -> Problem {
        Problem::field(self.name(field), "a value", NOTHING)
    }

    fn of_type(&self, field: &str, expected: &'static str, found: &Json) -> Problem {
        Problem::field(self.name(field), expected, found.described())
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.entries.first() {
            None => Ok(()),
            Some((field, _)) => {
                let expected = "only fields that /openapi.json names";
                Err(Problem::field(self.name(field), expected, "another one"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_kept_to_be_refused() {
        let json: Json = serde_json::from_str(r#"{"a":1,"a":2}"#).unwrap();
        let mut fields = Fields::new(json, "x[0]").unwrap();
        let refused = fields.number("a", Ok).unwrap_err().body("id");
        assert_eq!(serde_json::to_value(refused).unwrap()["field"], "x[0].a");
    }
}
