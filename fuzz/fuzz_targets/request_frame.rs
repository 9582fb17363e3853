//! Frames and messages, as they come from a hostile parent or from an enclave.
#![no_main]

use std::{cell::LazyCell, time::Duration};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use wire::{
    Request, Response,
    frame::{self, Deadlines, MAX_FRAME},
};

const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(60), frame: Duration::from_secs(60) };

thread_local! {
    static RUNTIME: LazyCell<Runtime> =
        LazyCell::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
}

/// What is taken is the one form of a message.
fn check(body: &[u8]) {
    if let Ok(request) = Request::decode(body) {
        assert_eq!(request.encode().expect("what was decoded encodes"), body);
    }
    if let Ok(response) = Response::decode(body) {
        assert_eq!(response.encode().expect("what was decoded encodes"), body);
    }
}

async fn read_all(mut stream: &[u8]) {
    loop {
        let before = stream;
        let Ok(Some(body)) = frame::read(&mut stream, DEADLINES).await else { return };
        assert!((1..=MAX_FRAME).contains(&body.len()));
        let mut written = Vec::new();
        frame::write(&mut written, &body, DEADLINES).await.expect("what was read can be written");
        assert!(before.strip_prefix(written.as_slice()) == Some(stream));
        check(&body);
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    RUNTIME.with(|runtime| runtime.block_on(read_all(bytes)));
});
