//! Connections of the parent: frames in, frames out, many requests under way on each. Everything
//! is bounded: connections, requests, the length of a frame, every wait.

use std::{future::Future, io, sync::Arc, time::Duration};

use protocol::{
    Answer, LogLine, Operation, Phase, Refusal, RefusalCode, Request, Response,
    frame::{self, Deadlines, FrameError, MAX_FRAME},
    transport::{Listener, Stream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::{
    journal::Trail,
    refusal::{draining, internal},
    service::Service,
};

/// How long a connection may be silent between frames, and how long a frame may take.
const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(300), frame: Duration::from_secs(10) };
/// How many refusals may wait for a parent that reads slowly, beside the answers to what is under way.
const WAITING_REFUSALS: usize = 16;
/// How many bytes are read at once, if there are so many.
const READ: usize = 16 << 10;
/// How many bytes of answers that are ready leave together.
const BURST: usize = 256 << 10;
/// After an accept that failed, e.g. for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Permits for requests under way, as many for questions about the enclave itself as for work:
/// the former are answered also while KMS keeps the latter waiting.
#[derive(Clone)]
struct Permits {
    work: Arc<Semaphore>,
    control: Arc<Semaphore>,
    /// How many there are of each.
    all: usize,
}

impl Permits {
    fn of(&self, operation: &Operation) -> &Arc<Semaphore> {
        match operation {
            Operation::CreateKeys { .. }
            | Operation::CheckRecord { .. }
            | Operation::Sign { .. }
            | Operation::Rewrap { .. } => &self.work,
            // What waits for nothing but the processor: orders above all.
            Operation::Describe
            | Operation::Attest { .. }
            | Operation::PutCredentials(_)
            | Operation::OpenLog { .. }
            | Operation::ReadLog { .. }
            | Operation::Checkpoint { .. }
            | Operation::PutPolicy { .. }
            | Operation::Activate { .. }
            | Operation::ReplayOrders { .. }
            | Operation::State
            | Operation::Authorize { .. }
            | Operation::SubmitOrder { .. } => &self.control,
        }
    }
}

/// Serves connections until `stop`, then lets what is under way finish.
pub(crate) async fn serve(service: Arc<Service>, mut listener: Listener, stop: impl Future<Output = ()>) {
    let limits = service.config.limits().clone();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let permits = Permits {
        work: Arc::new(Semaphore::new(limits.in_flight)),
        control: Arc::new(Semaphore::new(limits.in_flight)),
        all: limits.in_flight,
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&mut listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let (service, permits) = (service.clone(), permits.clone());
                tokio::spawn(async move {
                    converse(service, stream, permits).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    service.drain();
    let all = u32::try_from(limits.in_flight).unwrap_or(u32::MAX);
    // Orders above all are answered: what they changed is stored by whoever gets the answer. They
    // come second, so that questions are answered while work is finished.
    let both = async {
        let work = permits.work.acquire_many(all).await;
        (work, permits.control.acquire_many(all).await)
    };
    let drained = tokio::time::timeout(Duration::from_secs(limits.drain_seconds), both);
    match drained.await {
        Ok(_) => tracing::info!("drained"),
        Err(_) => tracing::warn!(seconds = limits.drain_seconds, "not drained in time"),
    }
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &mut Listener,
    connections: &Arc<Semaphore>,
) -> io::Result<(Stream, OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?, permit))
}

/// One connection, until it ends, stalls, or sends what is no request.
async fn converse(service: Arc<Service>, stream: Stream, permits: Permits) {
    let (reader, writer) = tokio::io::split(stream);
    let mut reader = BufReader::with_capacity(READ, reader);
    // Whoever works has a place for the answer.
    let places = permits.all.saturating_mul(2).saturating_add(WAITING_REFUSALS);
    let (answers, outgoing) = mpsc::channel(places);
    let mut writing = std::pin::pin!(write(writer, outgoing));
    let result = tokio::select! {
        // The parent sends no more: what it asked is still answered.
        result = read(&service, &mut reader, answers, permits) => match result {
            Ok(()) => writing.await,
            Err(error) => Err(error),
        },
        // The parent takes no answers: nothing more is read from it.
        result = &mut writing => result,
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// An answer, and the permit of the work that it answers: what is drained has been written.
type Outgoing = (Response, Option<OwnedSemaphorePermit>);

/// The place of one answer. It is answered also where the work panics.
struct Place {
    id: u64,
    answers: Option<mpsc::OwnedPermit<Outgoing>>,
    permit: Option<OwnedSemaphorePermit>,
    connection: mpsc::Sender<Outgoing>,
}

impl Place {
    fn answer(&mut self, result: Result<Answer, Refusal>, log: Vec<LogLine>) {
        let permit = self.permit.take();
        if let Some(answers) = self.answers.take()
            // Nobody reads it any more: the permit is free for others at once.
            && !self.connection.is_closed()
        {
            answers.send((Response { id: self.id, log, result }, permit));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.answers.is_some() {
            // What a panic had put on the log is read from there by its gap.
            self.answer(Err(internal("a panic")), Vec::new());
        }
    }
}

async fn read<R: AsyncRead + Unpin>(
    service: &Arc<Service>,
    reader: &mut R,
    answers: mpsc::Sender<Outgoing>,
    permits: Permits,
) -> Result<(), FrameError> {
    while let Some(body) = frame::read(reader, DEADLINES).await? {
        let request = match Request::decode(&body) {
            Ok(Request { id: 0, .. }) => Err("id: 1 or above was expected".to_owned()),
            Ok(request) => Ok(request),
            Err(error) => Err(error.to_string()),
        };
        // Nobody writes any more, so nobody reads.
        let connection = answers.clone();
        let Ok(answers) = answers.clone().reserve_owned().await else { return Ok(()) };
        let mut place = Place { id: 0, answers: Some(answers), permit: None, connection };
        let Request { id, operation } = match request {
            Ok(request) => request,
            Err(message) => {
                // Whose answer it would be is unknown: id 0, and the end of the connection.
                place.answer(Err(Refusal::new(RefusalCode::RequestMalformed, message)), Vec::new());
                return Ok(());
            }
        };
        place.id = id;
        match permits.of(&operation).clone().try_acquire_owned() {
            Ok(permit) => {
                place.permit = Some(permit);
                let service = service.clone();
                tokio::spawn(async move {
                    let mut trail = Trail::default();
                    let result = service.perform(operation, &mut trail).await;
                    place.answer(result, trail.0);
                });
            }
            Err(_) => {
                let refusal = match service.phase() {
                    Phase::Draining => draining(),
                    _ => Refusal::new(RefusalCode::Overloaded, "fewer requests under way were expected"),
                };
                place.answer(Err(refusal), Vec::new());
            }
        }
    }
    Ok(())
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: WriteHalf<W>,
    mut outgoing: mpsc::Receiver<Outgoing>,
) -> Result<(), FrameError> {
    while let Some(first) = outgoing.recv().await {
        let (mut frames, mut permits, mut next) = (Vec::new(), Vec::new(), Some(first));
        while let Some((response, permit)) = next {
            frame::append(&mut frames, &encode(response)?)?;
            permits.push(permit);
            next = if frames.len() < BURST { outgoing.try_recv().ok() } else { None };
        }
        frame::send(&mut writer, &frames, DEADLINES).await?;
        drop(permits);
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
    let text = "fewer or smaller transactions in one request were expected";
    let refusal = Refusal::new(RefusalCode::Overloaded, text).tagged("request.answer_size");
    let response = Response { id: response.id, log: Vec::new(), result: Err(refusal) };
    Ok(response.encode().map_err(io::Error::other)?)
}
