//! An HTTP request as a function URL hands it to the function (payload format 2.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The event for a request to `path`. Header names come in lower case, as from AWS; a body that is no text comes in
/// base64.
pub fn function_url_event(
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Value {
    let host = "sandbox.lambda-url.eu-central-1.on.aws";
    let mut named: Map<String, Value> = Map::new();
    named.insert("host".to_owned(), host.into());
    for (name, value) in headers {
        named.insert(name.to_ascii_lowercase(), value.as_str().into());
    }
    let text = str::from_utf8(body);
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": named,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "sandbox",
            "domainName": host,
            "domainPrefix": "sandbox",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.80",
                "userAgent": "Bitbucket-Webhooks/2.0"
            },
            "requestId": "5c1f9a7e-3b62-4d08-9f7a-6e2d4b8c0a13",
            "routeKey": "$default",
            "stage": "$default",
            "time": "23/Nov/2026:07:00:00 +0000",
            "timeEpoch": 1_795_417_200_000_i64
        },
        "body": text.map_or_else(|_| STANDARD.encode(body), str::to_owned),
        "isBase64Encoded": text.is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_travel_in_base64() {
        let headers = [("X-Event-Key".to_owned(), "repo:push".to_owned())];
        let event = function_url_event("POST", "/webhook", &headers, b"\xff\xfe");
        assert_eq!(event["isBase64Encoded"], true);
        assert_eq!(event["body"], "//4=");
        assert_eq!(event["headers"]["x-event-key"], "repo:push");
        assert_eq!(
            function_url_event("POST", "/webhook", &[], b"{}")["body"],
            "{}"
        );
    }
}
