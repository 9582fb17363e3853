//! Types that JSON has as text, in one spelling.

/// Text that is no address of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found another text of {length} bytes")]
pub struct NotAnAddress {
    expected: &'static str,
    length: usize,
}

impl NotAnAddress {
    pub(crate) const fn new(expected: &'static str, text: &str) -> Self {
        Self { expected, length: text.len() }
    }
}

/// What serde takes of a type with `FromStr` and `Display`, for `try_from` and `into` with `String`.
macro_rules! as_text {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = <Self as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
    ($type:ident, $list:literal) => {
        $crate::text::as_text!($type);

        impl $crate::rules::Entry for $type {
            const LIST: &'static str = $list;
            type Key = Self;

            fn key(&self) -> Self {
                *self
            }
        }
    };
}
pub(crate) use as_text;
