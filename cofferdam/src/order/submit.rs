//! An order on its way to the enclave: a request that a client signs.

use data_encoding::BASE64;
use protocol::{api::ReplaceRequest, dsse::Envelope, order::Order};
use serde_json::Value;

use crate::{
    client::Client,
    error::{Error, Refused},
};

/// Submits an order; answers what the API said of it. One that names a replacement has it made.
pub(super) async fn submit(client: &Client, order: &Order, envelope: &Envelope) -> Result<Value, Error> {
    let json = envelope.to_json();
    let answer: Value = match (order.retires(), order.replacement()) {
        (Some(key), Some(_)) => {
            let request = ReplaceRequest { order: BASE64.encode(json.as_bytes()) };
            client.post(&["keys", &key.to_string(), "replace"], &request).await?
        }
        _ => client.post_bytes(&["orders"], json.into_bytes()).await?,
    };
    let id = order.id().to_string();
    if answer.get("order_id").and_then(Value::as_str) == Some(&id) {
        Ok(answer)
    } else {
        Err(Refused::new("answer", format!("the order {id} was expected")).into())
    }
}
