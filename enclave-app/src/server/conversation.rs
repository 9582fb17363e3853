//! One connection, until it ends, stalls, loses its place, or sends what is no request.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use wire::{
    Answer, LogLine, Phase, Refusal, RefusalCode, Request, RequestHead, Response,
    frame::{self, Deadlines, FrameError, Incoming, MAX_FRAME},
    transport::Stream,
};

use super::{
    connections::Slot,
    room::{Answering, Class, Held, RESTRICTIONS, Room},
};
use crate::{
    journal::RequestLog,
    refusal::{draining, internal},
    service::Service,
};

/// How long a connection may be silent between frames, and how long a frame may take.
const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(300), frame: Duration::from_secs(10) };
/// How long a connection may take to send its first frame.
const FIRST: Duration = Duration::from_secs(10);
/// How many refusals may wait for a parent that reads slowly, beside the answers to what is under way.
const WAITING_REFUSALS: usize = 16;
/// How many bytes are read at once, if there are so many.
const READ: usize = 16 << 10;
/// How many bytes of answers that are ready leave together.
const BURST: usize = 256 << 10;

/// Holds a conversation.
pub(super) async fn converse(service: Arc<Service>, stream: Stream, room: Room, slot: Slot) {
    let (reader, writer) = tokio::io::split(stream);
    let reader = BufReader::with_capacity(READ, reader);
    // Whoever works has a place for the answer.
    let in_flight = service.config.limits().in_flight;
    let places = in_flight.saturating_mul(2).saturating_add(RESTRICTIONS).saturating_add(WAITING_REFUSALS);
    let (answers, outgoing) = mpsc::channel(places);
    let mut writing = std::pin::pin!(write(writer, outgoing));
    let restrictions = Arc::new(Semaphore::new(RESTRICTIONS));
    let reading = Reading { service, reader, room, restrictions, answers };
    let result = tokio::select! {
        // The parent sends no more: what it asked is still answered.
        result = reading.run(&slot) => match result {
            Ok(()) => writing.await,
            Err(error) => Err(error),
        },
        // The parent takes no answers: nothing more is read from it.
        result = &mut writing => result,
        () = slot.lost() => {
            tracing::debug!("a silent connection made room for another");
            return;
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// An answer, and what its request held of the room: what is drained has been written.
type Outgoing = (Response, Option<Answering>);

/// The place of one answer. It is answered also where the work panics.
struct ReplySlot {
    id: u64,
    answers: Option<mpsc::OwnedPermit<Outgoing>>,
    held: Option<Answering>,
    connection: mpsc::Sender<Outgoing>,
}

impl ReplySlot {
    fn answer(&mut self, result: Result<Answer, Refusal>, log: Vec<LogLine>) {
        let held = self.held.take();
        if let Some(answers) = self.answers.take()
            // Nobody reads it any more: the room is free for others at once.
            && !self.connection.is_closed()
        {
            answers.send((Response { id: self.id, log, result }, held));
        }
    }
}

impl Drop for ReplySlot {
    fn drop(&mut self) {
        if self.answers.is_some() {
            // What a panic had put on the log is read from there by its gap.
            self.answer(Err(internal("a panic")), Vec::new());
        }
    }
}

struct Reading<R> {
    service: Arc<Service>,
    reader: R,
    room: Room,
    /// This connection's places for what restricts.
    restrictions: Arc<Semaphore>,
    answers: mpsc::Sender<Outgoing>,
}

impl<R: AsyncRead + Unpin> Reading<R> {
    async fn run(mut self, slot: &Slot) -> Result<(), FrameError> {
        let mut more = timeout(FIRST, self.next(slot)).await.map_err(|_| FrameError::Deadline)??;
        while more {
            more = self.next(slot).await?;
        }
        Ok(())
    }

    /// Reads one request, if there is room, and has it carried out. False when no more is to be read.
    async fn next(&mut self, slot: &Slot) -> Result<bool, FrameError> {
        let Some(incoming) = frame::begin(&mut self.reader, DEADLINES).await? else { return Ok(false) };
        // Nobody writes any more, so nobody reads.
        let Ok(answers) = self.answers.clone().reserve_owned().await else { return Ok(false) };
        let mut reply =
            ReplySlot { id: 0, answers: Some(answers), held: None, connection: self.answers.clone() };
        // Whose answer it would be is unknown: id 0, and the end of the connection.
        let malformed = |reply: &mut ReplySlot, message: String| {
            reply.answer(Err(Refusal::new(RefusalCode::RequestMalformed, message)), Vec::new());
            Ok(false)
        };
        let (id, class) = match RequestHead::read(incoming.head()) {
            Some(RequestHead { id: 0, .. }) => {
                return malformed(&mut reply, "id: 1 or above was expected".into());
            }
            Some(RequestHead { id, operation }) => (id, Class::from_operation(operation)),
            None => {
                let text = "a map of id and operation was expected";
                return malformed(&mut reply, text.into());
            }
        };
        let Held { answer, memory } = match self.room.take(class, incoming.length(), &self.restrictions).await
        {
            Ok(held) => held,
            Err(refusal) => {
                incoming.skip(&mut self.reader).await?;
                slot.heard();
                reply.id = id;
                reply.answer(Err(self.busy(refusal)), Vec::new());
                return Ok(true);
            }
        };
        match self.request(incoming).await? {
            Ok(request) => {
                slot.heard();
                (reply.id, reply.held) = (id, Some(answer));
                self.perform(request, reply, memory);
                Ok(true)
            }
            Err(message) => malformed(&mut reply, message),
        }
    }

    /// The whole request, of which nothing but the request itself is kept.
    async fn request(&mut self, incoming: Incoming) -> Result<Result<Request, String>, FrameError> {
        let message = incoming.read(&mut self.reader).await?;
        Ok(Request::decode(&message).map_err(|error| error.to_string()))
    }

    fn perform(&self, request: Request, mut reply: ReplySlot, memory: Option<OwnedSemaphorePermit>) {
        let service = self.service.clone();
        tokio::spawn(async move {
            let mut log = RequestLog::default();
            let result = service.perform(request.operation, memory, &mut log).await;
            reply.answer(result, log.0);
        });
    }

    fn busy(&self, refusal: Refusal) -> Refusal {
        if self.service.phase() == Phase::Draining { draining() } else { refusal }
    }
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: WriteHalf<W>,
    mut outgoing: mpsc::Receiver<Outgoing>,
) -> Result<(), FrameError> {
    while let Some(first) = outgoing.recv().await {
        let (mut frames, mut held, mut next) = (Vec::new(), Vec::new(), Some(first));
        while let Some((response, room)) = next {
            frame::append(&mut frames, &encode(response)?)?;
            held.push(room);
            next = if frames.len() < BURST { outgoing.try_recv().ok() } else { None };
        }
        frame::send(&mut writer, &frames, DEADLINES).await?;
        drop(held);
    }
    Ok(())
}

fn encode(response: Response) -> Result<Vec<u8>, FrameError> {
    let body = response.encode().map_err(io::Error::other)?;
    if body.len() <= MAX_FRAME {
        return Ok(body);
    }
    // Everybody else's answers go on. The lines wait in the journal, where the parent reads what it
    // did not get.
    let text = "the answer has no room for more: ask for less at once";
    let refusal = Refusal::new(RefusalCode::Overloaded, text).tagged("request.answer_size");
    let response = Response { id: response.id, log: Vec::new(), result: Err(refusal) };
    Ok(response.encode().map_err(io::Error::other)?)
}
