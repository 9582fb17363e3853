//! What is known of a request, and what follows from it. A request is known wholly; a search for
//! one knows it in part, and leaves out what cannot become true.

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// It does not.
    No,
    /// That depends on what is not known yet.
    Maybe,
    /// It does.
    Yes,
}

impl Truth {
    pub(crate) fn and(self, other: Self) -> Self {
        self.min(other)
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }

    /// Whether all hold.
    pub(crate) fn all(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().min().unwrap_or(Self::Yes)
    }

    /// Whether one holds.
    pub(crate) fn any(any: impl IntoIterator<Item = Self>) -> Self {
        any.into_iter().max().unwrap_or(Self::No)
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// The condition keys of a request.
pub(crate) trait Context {
    /// The values of a key, given in lower case: none when the request does not have it, `None`
    /// when that is not known.
    fn values(&self, key: &str) -> Option<&[String]>;

    /// Where the values are not known, those of a key of several that are there for sure.
    fn some_values(&self, _key: &str) -> &[String] {
        &[]
    }
}
