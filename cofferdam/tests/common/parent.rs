//! A parent that answers whatever a test wants, to see what the program makes of it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use protocol::request::SignedRequest;
use serde_json::Value;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// As a parent forwards it: byte for byte what came over the wire.
    pub(crate) fn signed(&self) -> SignedRequest {
        let header = |name: &str| self.headers.get(name).cloned().unwrap_or_default();
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (self.target.clone(), None),
        };
        SignedRequest {
            method: self.method.clone(),
            path,
            query,
            signature_input: header("signature-input"),
            signature: header("signature"),
            content_digest: header("content-digest"),
            body: self.body.clone().into(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An answer.
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: String::new(), body: body.to_string().into_bytes() }
    }

    pub(crate) fn bytes(body: Vec<u8>) -> Self {
        Self { status: 200, headers: String::new(), body }
    }

    pub(crate) fn with_header(mut self, header: &str) -> Self {
        self.headers.push_str(header);
        self.headers.push_str("\r\n");
        self
    }
}

type Handler = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Listens until the test ends.
pub(crate) struct Parent {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Parent {
    pub(crate) fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen("http", Arc::new(handler), Some)
    }

    /// Over TLS, with this certificate and key.
    pub(crate) fn with_tls(
        config: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen("https", Arc::new(handler), move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).ok()?;
            Some(rustls::StreamOwned::new(connection, stream))
        })
    }

    fn listen<S: Read + Write>(
        scheme: &str,
        handler: Handler,
        wrap: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, wrap) = (Arc::clone(&seen), Arc::new(wrap));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (handler, log, wrap) = (Arc::clone(&handler), Arc::clone(&log), Arc::clone(&wrap));
                thread::spawn(move || wrap(stream).and_then(|stream| serve(stream, &handler, &log)));
            }
        });
        Self { url, seen }
    }

    /// What was asked so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request, one answer. Clients that break off are no failure.
fn serve(stream: impl Read + Write, handler: &Handler, log: &Mutex<Vec<Request>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':')?;
        let before = headers.insert(name.to_lowercase(), value.trim().to_owned());
        assert_eq!(before, None, "each header once");
    }
    let length = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let request = Request { method, target, headers, body };
    let answer = handler(&request);
    log.lock().unwrap().push(request);
    let head = format!(
        "HTTP/1.1 {} X\r\n{}content-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.headers,
        answer.body.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&answer.body).ok()?;
    stream.flush().ok()
}
