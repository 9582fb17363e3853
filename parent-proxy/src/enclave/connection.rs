//! One connection to the enclave with many requests under way. Answers are told apart by their
//! ids and may overtake each other.
//!
//! When anything on the wire is not as it must be, the connection ends, and with it every request
//! on it: as [`Broken::Lost`], never with an answer of doubtful origin.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{ReadHalf, WriteHalf, split},
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{Instant, timeout_at},
};
use wire::{
    Answer, Operation, Refusal, Request, Response,
    frame::{self, Deadlines},
    transport::Stream,
};

use super::lines::Lines;
use crate::log::Book;

/// Frames that wait to be written. Requests are bounded before they come here.
const OUTBOX: usize = 64;

/// Why a connection gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// It ended before the answer.
    #[error("the connection ended before the answer")]
    Lost,
    /// The deadline passed; the answer may still come, and is then dropped.
    #[error("no answer came before the deadline")]
    Deadline,
    /// The request does not fit a frame.
    #[error("the request does not fit a frame")]
    Request,
}

/// What a request holds until its answer is here, so that bounds count what the enclave has.
pub(super) type UntilAnswered = Arc<dyn Send + Sync>;

/// What the enclave answered, and what that put on the log.
pub(super) struct Reply {
    pub(super) result: Result<Answer, Refusal>,
    pub(super) log: Lines,
}

/// A connection.
pub(super) struct Connection {
    calls: Arc<Calls>,
    outbox: mpsc::Sender<Vec<u8>>,
    tasks: [AbortHandle; 2],
}

struct Call {
    answer: oneshot::Sender<Reply>,
    _held: Option<UntilAnswered>,
}

/// The requests under way; none once the connection ended.
struct Calls {
    open: Mutex<Option<OpenCalls>>,
    ended: watch::Sender<Option<&'static str>>,
}

#[derive(Default)]
struct OpenCalls {
    last: u64,
    calls: HashMap<u64, Call>,
}

impl Connection {
    /// Takes over a stream. `idle` is the longest silence: whoever keeps a connection asks
    /// something at least as often. What comes with answers goes into the `book`.
    pub(super) fn new(stream: Stream, deadlines: Deadlines, book: Book) -> Self {
        let (reader, writer) = split(stream);
        let (outbox, queue) = mpsc::channel(OUTBOX);
        let calls =
            Arc::new(Calls { open: Mutex::new(Some(OpenCalls::default())), ended: watch::Sender::new(None) });
        let reading = tokio::spawn(read(reader, Arc::clone(&calls), deadlines, book));
        let writing = tokio::spawn(write(writer, queue, Arc::clone(&calls), deadlines));
        Self { calls, outbox, tasks: [reading.abort_handle(), writing.abort_handle()] }
    }

    /// Asks, and waits for the answer. Gives the operation back for another try when it was lost.
    pub(super) async fn call(
        &self,
        operation: Operation,
        held: Option<UntilAnswered>,
        deadline: Instant,
    ) -> Result<Reply, (Broken, Operation)> {
        let (answer, answered) = oneshot::channel();
        let Some(id) = self.calls.begin(Call { answer, _held: held }) else {
            return Err((Broken::Lost, operation));
        };
        let request = Request { id, operation };
        let encoded = request.encode();
        let operation = request.operation;
        let Some(bytes) = encoded.ok().filter(|bytes| bytes.len() <= frame::MAX_FRAME) else {
            self.calls.take(id);
            return Err((Broken::Request, operation));
        };
        let asked = async {
            self.outbox.send(bytes).await.map_err(|_| Broken::Lost)?;
            answered.await.map_err(|_| Broken::Lost)
        };
        match timeout_at(deadline, asked).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(broken)) => Err((broken, operation)),
            Err(_) => Err((Broken::Deadline, operation)),
        }
    }

    /// How many requests are under way.
    pub(super) fn under_way(&self) -> usize {
        self.calls.lock().as_ref().map_or(usize::MAX, |open| open.calls.len())
    }

    /// Whether it still lives.
    pub(super) fn is_open(&self) -> bool {
        self.calls.lock().is_some()
    }

    /// Ends it.
    pub(super) fn end(&self, why: &'static str) {
        self.calls.end(why);
    }

    /// Waits for its end and says why it ended.
    pub(super) async fn ended(&self) -> &'static str {
        let mut ended = self.calls.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or("it was dropped"),
            Err(_) => "it was dropped",
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.calls.end("it was dropped");
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Calls {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<OpenCalls>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, call: Call) -> Option<u64> {
        let mut guard = self.lock();
        let open = guard.as_mut()?;
        // Ids begin at 1: 0 is the id of an answer to what was no request.
        open.last = open.last.wrapping_add(1).max(1);
        let id = open.last;
        open.calls.insert(id, call);
        Some(id)
    }

    fn take(&self, id: u64) -> Option<Call> {
        self.lock().as_mut()?.calls.remove(&id)
    }

    /// Dropping the calls tells those who wait.
    fn end(&self, why: &'static str) {
        drop(self.lock().take());
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        });
    }
}

async fn read(mut reader: ReadHalf<Stream>, calls: Arc<Calls>, deadlines: Deadlines, book: Book) {
    let why = loop {
        let bytes = match frame::read(&mut reader, deadlines).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break "the enclave closed it",
            Err(frame::FrameError::Length(_)) => break "the length of a frame is over the bound",
            Err(frame::FrameError::Deadline) => break "no frame came before the deadline",
            Err(frame::FrameError::Io(_)) => break "reading failed",
        };
        let Ok(response) = Response::decode(&bytes) else {
            break "what came is no response of this protocol";
        };
        let log = Lines::new(book.clone(), response.log);
        match calls.take(response.id) {
            // Whoever gave up waiting does not hear it; the log does.
            Some(call) => drop(call.answer.send(Reply { result: response.result, log })),
            None => break "a response came to a request that is not under way",
        }
    };
    calls.end(why);
}

async fn write(
    mut writer: WriteHalf<Stream>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    calls: Arc<Calls>,
    deadlines: Deadlines,
) {
    while let Some(bytes) = queue.recv().await {
        if frame::write(&mut writer, &bytes, deadlines).await.is_err() {
            break;
        }
    }
    calls.end("writing failed");
}

/// The deadlines of a connection on which something is asked every `heartbeat`.
pub(super) fn deadlines(heartbeat: Duration, answer: Duration) -> Deadlines {
    Deadlines { idle: heartbeat.saturating_add(answer).saturating_mul(2), frame: answer }
}
