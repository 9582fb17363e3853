//! Requests that are not as they must be: each gets a problem that names the field, never
//! repeats a value, and stores nothing.

use crate::support::process::{Answered, Site};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_wrong_field_is_named_and_nothing_is_stored() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let long = "x".repeat(129);
    let cases = [
        (r#"{"chain":"evm"}"#.to_owned(), "user"),
        (r#"{"user":"SECRETUSER"}"#.into(), "chain"),
        (r#"{"user":"","chain":"evm"}"#.into(), "user"),
        (format!(r#"{{"user":"{long}","chain":"evm"}}"#), "user"),
        (r#"{"user":"SECRETUSER\u0000","chain":"evm"}"#.into(), "user"),
        (r#"{"user":"SECRETUSER\n","chain":"evm"}"#.into(), "user"),
        ("{\"user\":\"SECRETUSER\u{202e}\",\"chain\":\"evm\"}".into(), "user"),
        (r#"{"user":["SECRETUSER"],"chain":"evm"}"#.into(), "user"),
        (r#"{"user":null,"chain":"evm"}"#.into(), "user"),
        (r#"{"user":42,"chain":"evm"}"#.into(), "user"),
        (r#"{"user":"SECRETUSER","user":"b","chain":"evm"}"#.into(), "user"),
        (r#"{"user":"SECRETUSER","chain":"ethereum"}"#.into(), "chain"),
        (r#"{"user":"SECRETUSER","chain":"EVM"}"#.into(), "chain"),
        (r#"{"user":"SECRETUSER","chain":1}"#.into(), "chain"),
        (r#"{"user":"SECRETUSER","chain":"evm","purpose":"withdraw"}"#.into(), "purpose"),
        (r#"{"user":"SECRETUSER","chain":"evm","index":-1}"#.into(), "index"),
        (r#"{"user":"SECRETUSER","chain":"evm","index":1.0}"#.into(), "index"),
        (r#"{"user":"SECRETUSER","chain":"evm","index":1e3}"#.into(), "index"),
        (r#"{"user":"SECRETUSER","chain":"evm","index":"0"}"#.into(), "index"),
        (r#"{"user":"SECRETUSER","chain":"evm","index":2147483648}"#.into(), "index"),
        (r#"{"user":"SECRETUSER","chain":"evm","index":99999999999999999999999}"#.into(), "index"),
        (r#"{"user":"SECRETUSER","chain":"evm","label":""}"#.into(), "label"),
        (r#"{"user":"SECRETUSER","chain":"evm","label":7}"#.into(), "label"),
        (r#"{"user":"SECRETUSER","chain":"evm","label":null,"label":null}"#.into(), "label"),
        (r#"{"user":"SECRETUSER","chain":"evm","purpose":null}"#.into(), "purpose"),
        (r#"{"user":"SECRETUSER","chain":"evm","purpose":"secondary","label":null}"#.into(), "label"),
        (r#"{"user":"SECRETUSER","chain":"evm","amount":1}"#.into(), "amount"),
        (r#"{"user":"SECRETUSER","chain":"evm","User":"x"}"#.into(), "User"),
    ];
    for (body, field) in cases {
        let single = parent.post_raw("/v1/addresses", body.clone()).await;
        let problem = single.problem(400, "request.invalid");
        assert_eq!(problem["field"], field, "{body}");
        assert!(!problem.to_string().contains("SECRETUSER"), "{problem}");
        let batch = format!(r#"{{"addresses":[{{"user":"fine","chain":"evm"}},{body}]}}"#);
        let problem = parent.post_raw("/v1/addresses/batch", batch).await.problem(400, "request.invalid");
        assert_eq!(problem["field"], format!("addresses[1].{field}"), "{body}");
        assert_eq!((&single.json()["item"], &problem["item"]), (&Value::Null, &json!(1)), "{body}");
        assert!(problem["expected"].is_string() && problem["found"].is_string(), "{problem}");
    }
    for (body, field) in [
        (r#"{"addresses":[]}"#.to_owned(), "addresses"),
        (r#"{"addresses":{}}"#.into(), "addresses"),
        (r"{}".into(), "addresses"),
        (r#"{"addresses":[1]}"#.into(), "addresses[0]"),
        (r#"{"addresses":[{"user":"a","chain":"evm"}],"more":1}"#.into(), "more"),
        (json!({"addresses": vec![json!({"user": "a", "chain": "evm"}); 1001]}).to_string(), "addresses"),
    ] {
        let problem = parent.post_raw("/v1/addresses/batch", body).await.problem(400, "request.invalid");
        assert_eq!(problem["field"], field);
    }
    for (query, field) in [
        ("?user=", "user"),
        ("?address=", "address"),
        ("?user=a&address=b", "address"),
        ("?limit=0", "limit"),
        ("?cursor=AAAA", "cursor"),
        ("?user=a%00", "user"),
        ("?user=%ff", "user"),
        ("?user=a&user=b", "user"),
        ("?user=a&limit=0", "limit"),
        ("?user=a&limit=1001", "limit"),
        ("?user=a&limit=%2B1", "limit"),
        ("?user=a&cursor=AAAA", "cursor"),
        ("?user=a&offset=1", "offset"),
    ] {
        let problem = parent.get(&format!("/v1/keys{query}")).await.problem(400, "request.invalid");
        assert_eq!(problem["field"], field, "{query}");
    }
    let long = "00".repeat(513);
    for query in ["", "?nonce=", "?nonce=0", "?nonce=zz", &format!("?nonce={long}")] {
        let problem = parent.get(&format!("/v1/attestation{query}")).await.problem(400, "request.invalid");
        assert_eq!(problem["field"], "nonce", "{query}");
    }
    for path in ["/v1/keys/key_x", "/v1/keys/..%2f..%2fetc", "/v1/keys/%ff"] {
        assert_eq!(parent.get(path).await.problem(400, "request.invalid")["field"], "key_id", "{path}");
    }
    assert_eq!(parent.get("/v1/attestations/00").await.problem(400, "request.invalid")["field"], "sha256");
    assert!(site.stored_in("keys").is_empty() && site.stored_in("users").is_empty());
    assert_eq!(double.count("create"), 0);
}

#[tokio::test]
async fn what_is_no_request_at_all_is_a_problem_too() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let deep = "[".repeat(10_000);
    for body in ["", "{", "nonsense", "[]", "\"x\"", "{\"user\":\"a\",}", "\u{feff}{}", &deep] {
        parent.post_raw("/v1/addresses", body.to_owned()).await.problem(400, "request.malformed");
    }
    parent.post_raw("/v1/addresses", vec![b'{', 0xff]).await.problem(400, "request.malformed");
    let long = format!(r#"{{"user":"{}"}}"#, "a".repeat(17_000));
    parent.post_raw("/v1/addresses", long.clone()).await.problem(413, "request.too_large");
    // Also when its length is not announced.
    let chunks = futures::stream::iter(vec![Ok::<_, std::io::Error>(long.into_bytes())]);
    let chunked = reqwest::Body::wrap_stream(chunks);
    parent.post_raw("/v1/addresses", chunked).await.problem(413, "request.too_large");
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let request = parent.request(Method::POST, "/v1/addresses").header("content-type", media_type);
        let answered = Answered::of(request.body("{}").send().await.unwrap()).await;
        answered.problem(415, "request.media_type");
    }
    parent.get("/v1/nothing").await.problem(404, "route.not_found");
    for (method, path, allowed) in [
        (Method::GET, "/v1/addresses", "POST"),
        (Method::DELETE, "/v1/policy", "GET,HEAD,PUT"),
        (Method::PATCH, "/v1/attestation", "GET,HEAD"),
        (Method::POST, "/healthz", "GET,HEAD"),
    ] {
        let wrong = Answered::of(parent.request(method, path).send().await.unwrap()).await;
        wrong.problem(405, "route.method");
        let mut allow: Vec<&str> = wrong.header("allow").split(',').collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{path}");
    }
    assert_eq!(
        parent
            .get(&format!("/v1/attestations/{}", "00".repeat(32)))
            .await
            .problem(404, "attestation.not_found")["status"],
        404
    );
}

#[tokio::test]
async fn a_plain_request_id_is_taken_over_and_any_other_is_not() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let ask = async |id: &str| {
        let request = parent.request(Method::GET, "/v1/nothing").header("x-request-id", id);
        let answered = Answered::of(request.send().await.unwrap()).await;
        answered.problem(404, "route.not_found")["request_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask("trace-1.a_B:9").await, "trace-1.a_B:9");
    for bad in ["", "a b", "<script>", "ü", &"x".repeat(65)] {
        let made = ask(bad).await;
        assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{made}");
    }
    let answered = parent.get("/healthz").await;
    assert_eq!(answered.header("x-content-type-options"), "nosniff");
    assert_eq!(answered.header("cache-control"), "no-store");
    assert!(!answered.header("content-security-policy").is_empty());
    assert!(answered.header("strict-transport-security").is_empty());
}

#[tokio::test]
async fn a_query_where_none_is_read_is_refused_and_so_is_a_name_that_nobody_knows() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let key = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
    for path in parent_proxy::api::paths() {
        let path = path.replace("{key_id}", key).replace("{sha256}", &"00".repeat(32));
        let posts = ["/addresses", "/batch", "/check", "/rewrap", "/signatures", "/explain", "/replace"];
        let method = if posts.iter().any(|end| path.ends_with(end)) {
            Method::POST
        } else if path == "/v1/activation" {
            Method::PUT
        } else {
            Method::GET
        };
        let needed = match path.as_str() {
            "/v1/keys" => "user=a&",
            "/v1/attestation" => "nonce=00&",
            _ => "",
        };
        let answered = parent.send(method, &format!("{path}?{needed}dry_run=true"), "{}").await;
        assert_eq!(answered.problem(400, "request.invalid")["field"], "dry_run", "{path}");
    }
    assert_eq!(parent.get("/healthz?").await.status, 200, "an empty query asks for nothing");
    assert_eq!((double.count("authorize"), double.count("sign")), (0, 0));
}

#[tokio::test]
async fn null_for_a_label_is_as_no_label() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let unlabelled = json!({"user": "alice", "chain": "evm", "label": null});
    let made = parent.post("/v1/addresses", &unlabelled).await;
    assert_eq!((made.status.as_u16(), made.json().get("label")), (201, None));
    let batch = json!({"addresses": [unlabelled, {"user": "alice", "chain": "evm"}]});
    let again = parent.post("/v1/addresses/batch", &batch).await.json();
    let same = |at: usize| again["addresses"][at]["key_id"] == made.json()["key_id"];
    assert!(same(0) && same(1), "{again}");
}
