//! A parent in front of a good one, which answers checks as it likes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cofferdam_tests::stack::http;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What it answers to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// The statement that an enclave made of this key, for an earlier request.
    OldStatement,
    /// The statement that an enclave made of another key.
    AnotherKeys,
    /// That it opened, and nothing else.
    NoStatement,
    /// From so many checks on, that the client is not one.
    Unauthorised {
        /// How many are answered truly.
        after: usize,
    },
}

#[derive(Default)]
struct State {
    /// Before there is one, it answers the truth, and remembers it.
    lie: Option<Lie>,
    asked: usize,
    /// Statements by key.
    statements: BTreeMap<String, String>,
}

pub(crate) struct HostileParent {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl HostileParent {
    /// In front of the parent at this URL.
    pub(crate) async fn start(behind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, behind) = (state.clone(), behind.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behind.clone(), shared.clone()));
            }
        });
        Self { url, state }
    }

    /// From now on.
    pub(crate) fn lie(&self, lie: Lie) {
        let mut state = self.state.lock().unwrap();
        (state.lie, state.asked) = (Some(lie), 0);
    }
}

async fn serve(stream: TcpStream, behind: String, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut line) = (Vec::new(), String::new());
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) && line != "\r\n" {
        head.push(std::mem::take(&mut line));
    }
    let Some(first) = head.first() else { return };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut request =
        http().request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{behind}{target}"));
    let mut length = 0;
    for header in &head[1..] {
        let (name, value) = header.trim_end().split_once(": ").unwrap();
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "host" => {}
            _ => request = request.header(name, value),
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let key = target.strip_suffix("/check").and_then(|path| path.strip_prefix("/v1/keys/"));
    let (status, bytes) = match key.and_then(|key| made_up(key, &mut state.lock().unwrap())) {
        Some(answer) => answer,
        None => {
            let answer = request.body(body).send().await.unwrap();
            let (status, bytes) = (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec());
            if let (Some(key), Ok(answer)) = (key, serde_json::from_slice::<Value>(&bytes))
                && let Some(statement) = answer["statement"].as_str()
            {
                state.lock().unwrap().statements.insert(key.to_owned(), statement.to_owned());
            }
            (status, bytes)
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
    let _ = stream.write_all(&[head.as_bytes(), &bytes].concat()).await;
    let _ = stream.shutdown().await;
}

/// The lie, where there is one.
fn made_up(key: &str, state: &mut State) -> Option<(u16, Vec<u8>)> {
    state.asked += 1;
    let opened = |statement: Option<&String>| {
        let mut answer = json!({"key_id": key, "opened": true});
        if let Some(statement) = statement {
            answer["statement"] = json!(statement);
        }
        Some((200, answer.to_string().into_bytes()))
    };
    match state.lie? {
        Lie::OldStatement => opened(state.statements.get(key)),
        Lie::AnotherKeys => opened(state.statements.iter().find(|(of, _)| *of != key).map(|(_, s)| s)),
        Lie::NoStatement => opened(None),
        Lie::Unauthorised { after } if state.asked <= after => None,
        Lie::Unauthorised { .. } => {
            let problem = json!({"status": 401, "code": "auth.client", "detail": "a client was expected"});
            Some((401, problem.to_string().into_bytes()))
        }
    }
}
