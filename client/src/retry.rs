//! When to ask again: the parent is overloaded or restarting (429, 503, 504), or did not
//! answer at all. Waits as long as `Retry-After` says, else twice as long each time.

use std::{error, future::Future, io, time::Duration};

use rand::{TryRng, rngs::SysRng};
use reqwest::{Response, StatusCode, header::RETRY_AFTER};

use crate::{ClientError, error::told};

/// Attempts in all.
const ATTEMPTS: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// No wait is longer, whatever the parent asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Sends until there is an answer worth giving back. The last answer is given back as it is. Each
/// attempt is a request of its own, which `send` makes, and signs, anew.
pub(crate) async fn retry<F>(
    mut send: impl FnMut() -> Result<F, ClientError>,
) -> Result<Response, ClientError>
where
    F: Future<Output = Result<Response, reqwest::Error>>,
{
    let mut attempt = 1;
    loop {
        let result = send()?.await;
        let Some(wait) = wait(&result, attempt).filter(|_| attempt < ATTEMPTS) else {
            return result.map_err(|error| ClientError::Parent(told(&error)));
        };
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}

fn wait(result: &Result<Response, reqwest::Error>, attempt: u32) -> Option<Duration> {
    match result {
        Ok(response) => is_passing(response.status()).then(|| {
            let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            asked_for(header).unwrap_or_else(|| backoff(attempt))
        }),
        // A deadline of a minute that passed is not waited for again, and a certificate that is not
        // trusted now will not be in a second.
        Err(error) => {
            let unanswered = error.is_connect() || (error.is_request() && !error.is_timeout());
            (unanswered && !is_tls(error)).then(|| backoff(attempt))
        }
    }
}

/// Whether TLS failed: I/O errors of the connector have rustls's inside, which their sources skip.
fn is_tls(error: &(dyn error::Error + 'static)) -> bool {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || inside.is_some_and(|inside| is_tls(inside))
        || error.source().is_some_and(is_tls)
}

const fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); its other form, a date, is not used by the parent.
fn asked_for(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Half of it fixed, half of it random: many clients do not come back at once.
fn backoff(attempt: u32) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << attempt.min(10)).min(LONGEST_WAIT) / 2;
    let random = f64::from(SysRng.try_next_u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    whole + whole.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        for attempt in 1..40 {
            let wait = backoff(attempt);
            assert!(wait >= FIRST_WAIT && wait <= LONGEST_WAIT, "{attempt}: {wait:?}");
        }
        assert_eq!(asked_for(Some("2")), Some(Duration::from_secs(2)));
        assert_eq!(asked_for(Some("999999999")), Some(LONGEST_WAIT));
        assert_eq!(asked_for(Some("Fri, 31 Dec 1999 23:59:59 GMT")), None);
    }

    #[test]
    fn only_what_passes_is_retried() {
        for status in [429, 503, 504] {
            assert!(is_passing(StatusCode::from_u16(status).unwrap()));
        }
        for status in [200, 201, 400, 403, 404, 422, 500, 502] {
            assert!(!is_passing(StatusCode::from_u16(status).unwrap()));
        }
    }
}
