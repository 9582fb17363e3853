//! A stand-in for S3 over HTTP that does wrong on purpose: what real servers do now and then, and
//! what servers do that must not be used.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use object_store::{RetryConfig, aws::AmazonS3Builder};
use parent_proxy::store::{Store, StoreLimits};

/// What it does on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// As S3 does.
    Right,
    /// Takes `If-None-Match: *` and overwrites.
    Overwrites,
    /// Looks first and writes later.
    Races,
    /// Acknowledges creations and keeps something else.
    Changes,
    /// Answers so many conditional creations with 409, as S3 does while another is under way.
    Conflicts(usize),
    /// Answers so many conditional creations with 409 once another's object is there.
    ConflictsWithAnother,
    /// Writes, and then loses the answer of the first creation of each object.
    LosesAnswers,
    /// Every object is said to be one gibibyte, and is.
    Endless,
    /// Never answers.
    Silent,
    /// Never answers creations of keys.
    SilentKeys,
}

#[derive(Clone)]
pub struct S3 {
    pub endpoint: String,
    pub objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    pub creations: Arc<AtomicUsize>,
    /// Bytes that were read of endless objects.
    pub sent: Arc<AtomicUsize>,
    habit: Arc<Mutex<Habit>>,
}

impl S3 {
    /// A store below this prefix of its bucket.
    pub fn store(&self, prefix: &str) -> Store {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let objects = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_bucket_name("bucket")
            .with_region("us-east-1")
            .with_access_key_id("id")
            .with_secret_access_key("secret")
            .with_retry(RetryConfig { max_retries: 1, ..RetryConfig::default() })
            .build()
            .unwrap();
        let limits = StoreLimits { timeout: Duration::from_secs(3), ..StoreLimits::default() };
        Store::from_objects(Arc::new(objects), prefix.into(), limits, Arc::default())
    }

    pub async fn start(habit: Habit) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let s3 = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            objects: Arc::default(),
            creations: Arc::default(),
            sent: Arc::default(),
            habit: Arc::new(Mutex::new(habit)),
        };
        let router = Router::new()
            .route("/{bucket}", any(list))
            .route("/{bucket}/{*key}", any(object))
            .with_state(s3.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        s3
    }

    pub fn becomes(&self, habit: Habit) {
        *self.habit.lock().unwrap() = habit;
    }

    fn habit(&self) -> Habit {
        *self.habit.lock().unwrap()
    }

    fn has(&self, key: &str) -> bool {
        self.objects.lock().unwrap().contains_key(key)
    }

    fn put(&self, key: String, body: Bytes) -> StatusCode {
        self.objects.lock().unwrap().insert(key, body);
        StatusCode::OK
    }

    async fn create(&self, key: String, body: Bytes) -> StatusCode {
        let number = self.creations.fetch_add(1, Ordering::SeqCst);
        match self.habit() {
            Habit::Overwrites => return self.put(key, body),
            Habit::Races => {
                if self.has(&key) {
                    return StatusCode::PRECONDITION_FAILED;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                return self.put(key, body);
            }
            Habit::Conflicts(count) if number < count => return StatusCode::CONFLICT,
            Habit::ConflictsWithAnother if self.has(&key) => return StatusCode::CONFLICT,
            Habit::Silent => std::future::pending().await,
            Habit::SilentKeys if key.contains("/keys/") => std::future::pending().await,
            _ => {}
        }
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(&key) {
            return StatusCode::PRECONDITION_FAILED;
        }
        let kept = if self.habit() == Habit::Changes { Bytes::from_static(b"other") } else { body };
        objects.insert(key, kept);
        if self.habit() == Habit::LosesAnswers { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    }
}

async fn object(
    State(s3): State<S3>,
    Path((_, key)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(headers.contains_key("authorization"), "every request is signed");
    match method {
        Method::PUT if headers.contains_key("if-none-match") => {
            let status = s3.create(key, body).await;
            (status, [("etag", "\"e\"")]).into_response()
        }
        Method::PUT => (s3.put(key, body), [("etag", "\"e\"")]).into_response(),
        _ if s3.habit() == Habit::Endless => endless(&s3),
        _ => match s3.objects.lock().unwrap().get(&key) {
            Some(found) => ([("etag", "\"e\""), MODIFIED], found.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}

const MODIFIED: (&str, &str) = ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");

fn endless(s3: &S3) -> Response {
    let sent = Arc::clone(&s3.sent);
    let chunks = futures::stream::repeat_with(move || {
        sent.fetch_add(1 << 16, Ordering::SeqCst);
        Ok::<_, std::io::Error>(vec![0u8; 1 << 16])
    });
    let headers = [("etag", "\"e\""), MODIFIED, ("content-length", "1073741824")];
    (headers, Body::from_stream(chunks)).into_response()
}

/// ListObjectsV2, two to a page.
async fn list(
    State(s3): State<S3>,
    Query(query): Query<BTreeMap<String, String>>,
    method: Method,
    body: String,
) -> Response {
    if method == Method::POST {
        return delete(&s3, &body);
    }
    if matches!(s3.habit(), Habit::Silent) {
        return std::future::pending().await;
    }
    let get = |name: &str| query.get(name).cloned().unwrap_or_default();
    let after = [get("continuation-token"), get("start-after")].into_iter().max().unwrap();
    let objects = s3.objects.lock().unwrap();
    let found: Vec<_> =
        objects.keys().filter(|key| key.starts_with(&get("prefix")) && **key > after).take(3).collect();
    let contents: String = found
        .iter()
        .take(2)
        .map(|key| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2015-10-21T07:28:00.000Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
            )
        })
        .collect();
    let more = match found.get(1).filter(|_| found.len() > 2) {
        Some(last) => format!("<NextContinuationToken>{last}</NextContinuationToken>"),
        None => String::new(),
    };
    format!("<ListBucketResult>{contents}{more}</ListBucketResult>").into_response()
}

/// DeleteObjects.
fn delete(s3: &S3, body: &str) -> Response {
    let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    let deleted: String = keys
        .map(|key| {
            s3.objects.lock().unwrap().remove(key);
            format!("<Deleted><Key>{key}</Key></Deleted>")
        })
        .collect();
    format!("<DeleteResult>{deleted}</DeleteResult>").into_response()
}
