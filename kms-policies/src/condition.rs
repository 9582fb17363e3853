//! Conditions: `{operator: {key: value or values}}`. All of them must hold; several values of one
//! key are alternatives. Source: IAM User Guide, "IAM JSON policy elements: Condition operators"
//! and "Set operators for multivalued context keys".

use crate::{
    effect::Kind,
    error::{PolicyError, Position, Problem},
    json::Node,
    truth::{Context, Truth},
};

mod value;

pub(crate) use value::{Comparison, Value, date, number};

/// How many of the request's values have to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    /// No prefix: for keys of one value.
    Single,
    /// `ForAnyValue:`
    Any,
    /// `ForAllValues:`
    All,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) comparison: Comparison,
    pub(crate) negated: bool,
    pub(crate) quantifier: Quantifier,
    pub(crate) if_exists: bool,
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
        let (comparison, negated) = Comparison::named(base)?;
        if comparison == Comparison::Null && (quantifier != Quantifier::Single || if_exists) {
            return None;
        }
        Some(Self { comparison, negated, quantifier, if_exists })
    }
}

/// One operator on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// As the policy writes it.
    pub(crate) operator_name: String,
    pub(crate) operator: Operator,
    /// In lower case.
    pub(crate) key: String,
    /// As the policy writes it.
    pub(crate) key_name: String,
    pub(crate) values: Vec<Value>,
    /// As the policy writes them, each with its place.
    pub(crate) texts: Vec<(String, Position)>,
}

impl Condition {
    /// Reads the member `Condition`.
    pub(crate) fn parse(node: &Node<'_>, kind: Kind, variables: bool) -> Result<Vec<Self>, PolicyError> {
        let mut conditions: Vec<Self> = Vec::new();
        for (name, keys) in node.members()? {
            let operator = Operator::parse(name).ok_or(keys.error(Problem::UnknownOperator))?;
            for (key, values) in keys.members()? {
                if key.split_once(':').is_none_or(|(prefix, name)| prefix.is_empty() || name.is_empty())
                    || key.contains('$')
                    // Some letters become others of ASCII in lower case.
                    || (!key.is_ascii() && !key.starts_with("kms:EncryptionContext:"))
                {
                    return Err(values.error(Problem::Expected("a condition key, service:name,")));
                }
                let lower = key.to_lowercase();
                // KMS Developer Guide, "kms:EncryptionContext:context-key": KMS refuses this in a key policy.
                if kind == Kind::Resource
                    && operator.quantifier == Quantifier::All
                    && lower.starts_with("kms:encryptioncontext:")
                {
                    return Err(values.error(Problem::Expected("an operator without ForAllValues")));
                }
                if conditions.iter().any(|known| known.operator == operator && known.key == lower) {
                    return Err(values.error(Problem::Expected("a key that this operator has only once")));
                }
                let mut condition = Self {
                    operator_name: name.to_owned(),
                    operator,
                    key: lower,
                    key_name: key.to_owned(),
                    values: Vec::new(),
                    texts: Vec::new(),
                };
                for value in values.one_or_many()? {
                    let text = value.scalar()?;
                    let read = Value::parse(operator.comparison, &text, variables);
                    condition.values.push(read.map_err(|problem| value.error(problem))?);
                    condition.texts.push((text, value.position()));
                }
                conditions.push(condition);
            }
        }
        Ok(conditions)
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, context: &dyn Context) -> Truth {
        let Some(found) = context.values(&self.key) else { return self.holds_so_far(context) };
        let Operator { comparison, negated, quantifier, if_exists } = self.operator;
        if comparison == Comparison::Null {
            return self.values.contains(&Value::Bool(found.is_empty())).into();
        }
        let right = |found: &String| self.is_right(found, context);
        match quantifier {
            // IAM: a missing key matches negated operators, and what is not checked unless it exists.
            Quantifier::Single if found.is_empty() => (negated || if_exists).into(),
            // A key of one value has one; of several, a negated operator must hold for each.
            Quantifier::Single if negated => Truth::all(found.iter().map(right)),
            // IfExists does not change this: AWS re:Post, "ForAnyValue:StringEqualsIfExists".
            Quantifier::Single | Quantifier::Any => Truth::any(found.iter().map(right)),
            // IAM: an empty text counts as no value.
            Quantifier::All => Truth::all(found.iter().filter(|value| !value.is_empty()).map(right)),
        }
    }

    /// Whether one value of the request is as it asks.
    fn is_right(&self, found: &str, context: &dyn Context) -> Truth {
        let matches = Truth::any(self.values.iter().map(|value| value.matches(found, context)));
        if self.operator.negated { matches.not() } else { matches }
    }

    /// Whether it holds whatever else the key has, or cannot, by the values that are known.
    fn holds_so_far(&self, context: &dyn Context) -> Truth {
        let Operator { comparison, negated, quantifier, .. } = self.operator;
        let mut known = context.some_values(&self.key).iter().filter(|value| !value.is_empty());
        if comparison == Comparison::Null {
            let there = known.next().map(|_| Truth::from(self.values.contains(&Value::Bool(false))));
            return there.unwrap_or(Truth::Maybe);
        }
        let all = quantifier == Quantifier::All || (quantifier == Quantifier::Single && negated);
        let decides = if all { Truth::No } else { Truth::Yes };
        if known.any(|found| self.is_right(found, context) == decides) { decides } else { Truth::Maybe }
    }

    /// The keys that its variables name, in lower case.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.values.iter().flat_map(Value::variables)
    }
}

#[cfg(test)]
mod tests;
