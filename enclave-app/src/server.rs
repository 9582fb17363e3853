//! Connections of the parent: frames in, frames out, many requests under way on each. Everything
//! is bounded: connections, requests, the length of a frame, every wait.

use std::{future::Future, io, sync::Arc, time::Duration};

use protocol::{
    Operation, Phase, Refusal, RefusalCode, Request, Response,
    frame::{self, Deadlines, FrameError, MAX_FRAME},
    transport::{Listener, Stream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::{
    journal::Trail,
    refusal::{draining, internal},
    service::Service,
};

/// How long a connection may be silent between frames, and how long a frame may take.
const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(300), frame: Duration::from_secs(10) };
/// How many answers may wait for a parent that reads slowly.
const WAITING_ANSWERS: usize = 16;
/// After an accept that failed, e.g. for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Permits for requests under way, as many for questions about the enclave itself as for work:
/// the former are answered also while KMS keeps the latter waiting.
#[derive(Clone)]
struct Permits {
    work: Arc<Semaphore>,
    control: Arc<Semaphore>,
}

impl Permits {
    fn of(&self, operation: &Operation) -> &Arc<Semaphore> {
        match operation {
            Operation::CreateKeys { .. } | Operation::CheckRecord { .. } | Operation::Sign { .. } => {
                &self.work
            }
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
    let (mut reader, writer) = tokio::io::split(stream);
    let (answers, outgoing) = mpsc::channel(WAITING_ANSWERS);
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

type Answers = mpsc::Sender<(Response, Option<OwnedSemaphorePermit>)>;

async fn read<R: AsyncRead + Unpin>(
    service: &Arc<Service>,
    reader: &mut ReadHalf<R>,
    answers: Answers,
    permits: Permits,
) -> Result<(), FrameError> {
    while let Some(body) = frame::read(reader, DEADLINES).await? {
        let request = match Request::decode(&body) {
            Ok(Request { id: 0, .. }) => Err("id: 1 or above was expected".to_owned()),
            Ok(request) => Ok(request),
            Err(error) => Err(error.to_string()),
        };
        let Request { id, operation } = match request {
            Ok(request) => request,
            Err(message) => {
                // Whose answer it would be is unknown: id 0, and the end of the connection.
                let refusal = Refusal::new(RefusalCode::RequestMalformed, message);
                let _ = answers.send((Response { id: 0, result: Err(refusal), log: Vec::new() }, None)).await;
                return Ok(());
            }
        };
        let (service, answers) = (service.clone(), answers.clone());
        match permits.of(&operation).clone().try_acquire_owned() {
            Ok(permit) => {
                tokio::spawn(async move {
                    // A task of its own: should it panic, there is still an answer.
                    let performed = tokio::spawn(async move {
                        let mut trail = Trail::default();
                        let result = service.perform(operation, &mut trail).await;
                        (result, trail.0)
                    });
                    // What a panic had put on the log is read from there by its gap.
                    let (result, log) =
                        performed.await.unwrap_or_else(|_| (Err(internal("a panic")), Vec::new()));
                    // The permit goes with the answer: what is drained has been written.
                    let _ = answers.send((Response { id, result, log }, Some(permit))).await;
                });
            }
            Err(_) => {
                let refusal = match service.phase() {
                    Phase::Draining => draining(),
                    _ => Refusal::new(RefusalCode::Overloaded, "fewer requests under way were expected"),
                };
                let _ = answers.send((Response { id, result: Err(refusal), log: Vec::new() }, None)).await;
            }
        }
    }
    Ok(())
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: WriteHalf<W>,
    mut outgoing: mpsc::Receiver<(Response, Option<OwnedSemaphorePermit>)>,
) -> Result<(), FrameError> {
    while let Some((response, permit)) = outgoing.recv().await {
        let mut body = response.encode().map_err(io::Error::other)?;
        if body.len() > MAX_FRAME {
            // Everybody else's answers go on. The lines wait in the journal, where the parent reads
            // what it did not get.
            let text = "fewer or smaller transactions in one request were expected";
            let refusal = Refusal::new(RefusalCode::Overloaded, text).tagged("request.answer_size");
            let response = Response { id: response.id, result: Err(refusal), log: Vec::new() };
            body = response.encode().map_err(io::Error::other)?;
        }
        frame::write(&mut writer, &body, DEADLINES).await?;
        drop(permit);
    }
    Ok(())
}
