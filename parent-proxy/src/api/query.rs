//! Query strings (`application/x-www-form-urlencoded`), read as strictly as bodies: valid UTF-8,
//! every parameter once, none that nobody asked for.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Problem, routed};

/// Around every route whose handler reads no query: there must be none.
pub(super) async fn none_unknown(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.and_then(|matched| routed(matched.as_str()));
    if route.is_some_and(|route| !route.queried)
        && let Err(problem) = Query::parse(request.uri().query()).and_then(Query::finish)
    {
        return problem.into_response();
    }
    next.run(request).await
}

/// The parameters of a query, taken one by one.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a raw query.
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| {
                Problem::malformed("expected a query in percent-encoded UTF-8, found other bytes")
            })?;
            let value = decode(value)
                .ok_or_else(|| Problem::field(name.as_str(), "percent-encoded UTF-8", "other bytes"))?;
            Ok((name, value))
        });
        decoded.collect::<Result<_, _>>().map(Self)
    }

    /// A parameter that may be missing.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(at) = self.0.iter().position(|(found, _)| found == name) else { return Ok(None) };
        let (_, value) = self.0.swap_remove(at);
        if self.0.iter().any(|(found, _)| found == name) {
            return Err(Problem::field(name, "the parameter once", "it again"));
        }
        Ok(Some(value))
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Problem::field(name, "only parameters that /openapi.json names", "another one"))
            }
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                *data_encoding::HEXLOWER_PERMISSIVE.decode(&digits).ok()?.first()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once_and_only_if_they_are_utf_8() {
        let mut query = Query::parse(Some("user=a%20b+c%2541&limit=5&x")).unwrap();
        assert_eq!(query.take("user").unwrap().unwrap(), "a b c%41");
        assert_eq!(query.take("limit").unwrap().unwrap(), "5");
        assert_eq!(query.take("missing").unwrap(), None);
        assert!(query.finish().is_err());
        for bad in ["user=%ff", "user=%2", "user=%zz", "%ff=1"] {
            assert!(Query::parse(Some(bad)).is_err(), "{bad}");
        }
        assert!(Query::parse(Some("a=1&a=2")).unwrap().take("a").is_err());
        assert!(Query::parse(None).unwrap().finish().is_ok());
    }
}
