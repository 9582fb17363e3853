//! What the OpenAPI document says beyond what follows from the handlers' types: the headers of answers, what
//! every path can answer, the patterns of fields, and examples. The examples are answers that the system gave:
//! `examples.json` is written by a test that runs them, and compared by it.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{Problem, openapi::as_response, patterns, problem::MEDIA_TYPE};

/// Requests and what was answered, by the operation's id.
static EXAMPLES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// Completes a document that was made from the handlers.
pub(super) fn complete(document: &mut Value) {
    for schema in members(document.pointer_mut("/components/schemas")) {
        strip(schema);
        fields(schema);
    }
    if let Some(Value::Object(components)) = document.get_mut("components") {
        components.insert("headers".into(), headers());
    }
    for item in members(document.get_mut("paths")) {
        members(Some(item)).for_each(describe);
    }
}

/// The values of an object.
fn members(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
}

/// Takes the examples of single fields away: together they would be an object that nobody answers.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            entries.remove("example");
            entries.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Gives fields their patterns, also of objects that are made of parts.
fn fields(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            patterns::apply(name, property);
        }
    }
    if let Some(parts) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        parts.iter_mut().for_each(fields);
    }
}

fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({"description": description, "schema": schema});
    json!({
        "RequestId": header(
            "What the client sent, where it is 1 to 64 letters, digits, `-`, `_`, `.` or `:`; else a random one.",
            json!({"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"}),
        ),
        "Request": header(
            "The request's identity: SHA-256 of its signature base. Entries of the log that the request put \
             there have it as `request`. Absent where the request could not be read as a signed one.",
            json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
        ),
        "RetryAfter": header("Seconds after which to try again.", json!({"type": "integer", "minimum": 1})),
        "Challenge": header(
            "That the request must be signed (RFC 9110, section 11.6.1).",
            json!({"type": "string", "const": "Signature realm=\"cofferdam\""}),
        ),
        "Allow": header("The methods of the path.", json!({"type": "string"})),
    })
}

fn describe(operation: &mut Value) {
    let signed = operation.get("security").is_some();
    if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            patterns::apply(&name, &mut parameter["schema"]);
        }
    }
    example(operation);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for problem in [Problem::unknown_parameter(), Problem::wrong_method(), Problem::internal()] {
        responses.entry(problem.status().as_str()).or_insert_with(|| as_response(&problem));
    }
    for (status, response) in responses {
        let mut headers = Map::new();
        let mut say = |name: &str, header: &str| {
            headers.insert(name.into(), json!({"$ref": format!("#/components/headers/{header}")}));
        };
        say("X-Request-Id", "RequestId");
        if signed {
            say("Cofferdam-Request", "Request");
        }
        let is_problem = response["content"].get(MEDIA_TYPE).is_some();
        match status.as_str() {
            "401" => say("WWW-Authenticate", "Challenge"),
            "405" => say("Allow", "Allow"),
            "429" | "503" if is_problem => say("Retry-After", "RetryAfter"),
            _ => {}
        }
        response["headers"] = headers.into();
    }
}

/// What was asked and answered, in place of what the handler's types would give.
fn example(operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default();
    for recorded in [id.to_owned(), format!("{id} 503")].iter().filter_map(|name| EXAMPLES.get(name)) {
        for (place, value) in [
            ("/requestBody/content/application~1json".to_owned(), &recorded["request"]),
            (format!("/responses/{}/content/application~1json", recorded["status"]), &recorded["answer"]),
        ] {
            if let Some(content) = operation.pointer_mut(&place).filter(|_| !value.is_null()) {
                content["example"] = value.clone();
            }
        }
    }
}
