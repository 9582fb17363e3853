//! Conditions: `{operator: {key: value or values}}`. All of them must hold; several values of one
//! key are alternatives. Source: IAM User Guide, "IAM JSON policy elements: Condition operators"
//! and "Set operators for multivalued context keys".

use crate::{
    error::{PolicyError, Problem},
    json::{Json, Node},
    pattern::{ArnPattern, Pattern, literal},
    request::Request,
};

/// What is compared, once the policy's value was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    TextWithoutCase(String),
    Like(Pattern),
    Arn(ArnPattern),
    Bool(bool),
}

impl Value {
    fn matches(&self, found: &str) -> bool {
        match self {
            Self::Text(expected) => expected == found,
            // KMS's values are ASCII; for others, full lower case is what AWS documents.
            Self::TextWithoutCase(expected) => *expected == found.to_lowercase(),
            Self::Like(pattern) => pattern.matches(found),
            Self::Arn(pattern) => pattern.matches(found),
            Self::Bool(expected) => found.eq_ignore_ascii_case(if *expected { "true" } else { "false" }),
        }
    }
}

/// How the values of a policy are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Text,
    TextWithoutCase,
    Like,
    Arn,
    Bool,
    /// Whether the key is missing.
    Null,
}

/// How many of the request's values have to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// No prefix: for keys of one value.
    Single,
    /// `ForAnyValue:`
    Any,
    /// `ForAllValues:`
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    comparison: Comparison,
    negated: bool,
    quantifier: Quantifier,
    if_exists: bool,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::Single, name),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(_) => return None,
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let (comparison, negated) = match base {
            "StringEquals" => (Comparison::Text, false),
            "StringNotEquals" => (Comparison::Text, true),
            "StringEqualsIgnoreCase" => (Comparison::TextWithoutCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::TextWithoutCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            // IAM: ArnEquals and ArnLike behave identically.
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Bool" => (Comparison::Bool, false),
            "Null" if quantifier == Quantifier::Single && !if_exists => (Comparison::Null, false),
            _ => return None,
        };
        Some(Self { comparison, negated, quantifier, if_exists })
    }

    fn read(self, node: &Node<'_>) -> Result<Value, PolicyError> {
        let text = match node.value {
            Json::Text(text) | Json::Number(text) => text.clone(),
            Json::Bool(value) => value.to_string(),
            _ => return Err(node.error(Problem::Expected("a string, a number or a boolean"))),
        };
        let value = match self.comparison {
            Comparison::Text => literal(&text).map(Value::Text),
            Comparison::TextWithoutCase => {
                literal(&text).map(|text| Value::TextWithoutCase(text.to_lowercase()))
            }
            Comparison::Like => Pattern::parse(&text).map(Value::Like),
            Comparison::Arn => ArnPattern::parse(&text).map(Value::Arn),
            Comparison::Bool | Comparison::Null => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(Problem::Expected("true or false")),
            },
        };
        value.map_err(|problem| node.error(problem))
    }
}

/// One operator on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    operator: Operator,
    /// In lower case.
    key: String,
    values: Vec<Value>,
}

impl Condition {
    /// Reads the member `Condition`.
    pub(crate) fn parse(node: &Node<'_>) -> Result<Vec<Self>, PolicyError> {
        let mut conditions: Vec<Self> = Vec::new();
        for (name, keys) in node.members()? {
            let operator = Operator::parse(name).ok_or(keys.error(Problem::UnknownOperator))?;
            for (key, values) in keys.members()? {
                if key.split_once(':').is_none_or(|(prefix, name)| prefix.is_empty() || name.is_empty())
                    || key.contains('$')
                {
                    return Err(values.error(Problem::Expected("a condition key, service:name,")));
                }
                let key = key.to_lowercase();
                if conditions.iter().any(|known| known.operator == operator && known.key == key) {
                    return Err(values.error(Problem::Expected("a key that this operator has only once")));
                }
                let values = values.one_or_many()?;
                let values = values.iter().map(|value| operator.read(value)).collect::<Result<_, _>>()?;
                conditions.push(Self { operator, key, values });
            }
        }
        Ok(conditions)
    }

    pub(crate) fn holds(&self, request: &Request) -> bool {
        let found = request.values(&self.key);
        let Operator { comparison, negated, quantifier, if_exists } = self.operator;
        let matches = |found: &String| self.values.iter().any(|value| value.matches(found));
        if comparison == Comparison::Null {
            return self.values.contains(&Value::Bool(found.is_empty()));
        }
        match quantifier {
            // IAM: a missing key matches negated operators, and what is not checked unless it exists.
            Quantifier::Single if found.is_empty() => negated || if_exists,
            Quantifier::Single => found.iter().any(matches) != negated,
            // IfExists does not change this: AWS re:Post, "ForAnyValue:StringEqualsIfExists".
            Quantifier::Any => found.iter().any(|value| matches(value) != negated),
            Quantifier::All => found.iter().all(|value| matches(value) != negated),
        }
    }
}

#[cfg(test)]
mod tests;
