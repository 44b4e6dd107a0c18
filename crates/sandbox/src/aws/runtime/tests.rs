//! The runtime API against a plain HTTP client in the part of a function.

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

/// Plays the function: takes one event.
async fn poll(api: &RuntimeApi) -> (HeaderMap, Value) {
    let answer = http()
        .get(url(api, "invocation/next"))
        .send()
        .await
        .unwrap();
    (answer.headers().clone(), answer.json().await.unwrap())
}

async fn send(api: &RuntimeApi, path: &str, body: Value) -> u16 {
    let request = http().post(url(api, path)).json(&body);
    request.send().await.unwrap().status().as_u16()
}

fn http() -> reqwest::Client {
    crate::loopback::fixture::client().build().unwrap()
}

fn url(api: &RuntimeApi, path: &str) -> String {
    format!("http://{}/2018-06-01/runtime/{path}", api.address())
}

fn id(headers: &HeaderMap) -> String {
    headers["lambda-runtime-aws-request-id"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn events_are_answered_one_after_another() {
    let api = RuntimeApi::start().await.unwrap();
    let function = async {
        for _ in 0..2 {
            let (headers, event) = poll(&api).await;
            let deadline: i64 = headers["lambda-runtime-deadline-ms"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!(machine_now().as_millisecond() < deadline);
            assert_eq!(headers["lambda-runtime-invoked-function-arn"], FUNCTION_ARN);
            let path = format!("invocation/{}/response", id(&headers));
            assert_eq!(send(&api, &path, json!({"saw": event})).await, 202);
            assert_eq!(send(&api, &path, json!("again")).await, 400);
        }
    };
    let (first, second, ()) = tokio::join!(
        api.invoke(json!(1), LIMIT),
        api.invoke(json!(2), LIMIT),
        function
    );
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (json!({"saw": 1}), json!({"saw": 2}))
    );
}

#[tokio::test]
async fn errors_reach_the_invoker() {
    let api = RuntimeApi::start().await.unwrap();
    let function = async {
        let (headers, _) = poll(&api).await;
        let error = json!({"errorType": "Oops", "errorMessage": "no luck"});
        send(&api, &format!("invocation/{}/error", id(&headers)), error).await
    };
    let (outcome, status) = tokio::join!(api.invoke(json!({}), LIMIT), function);
    assert_eq!(
        (outcome, status),
        (Err(FunctionError::new("Oops", "no luck")), 202)
    );
}

#[tokio::test]
async fn the_first_poll_makes_the_function_ready() {
    let api = RuntimeApi::start().await.unwrap();
    tokio::select! {
        () = api.wait_ready() => {}
        _ = poll(&api) => panic!("there is no event to take"),
    }
}

#[tokio::test]
async fn an_init_error_answers_the_invocation() {
    let api = RuntimeApi::start().await.unwrap();
    let error = json!({"errorType": "Config", "errorMessage": "no token"});
    let invocation = api.invoke(json!({}), LIMIT);
    tokio::pin!(invocation);
    let outcome = tokio::select! {
        biased;
        outcome = &mut invocation => outcome,
        _ = send(&api, "init/error", error) => invocation.await,
    };
    assert_eq!(outcome, Err(FunctionError::new("Config", "no token")));
}

#[tokio::test]
async fn a_dead_process_fails_its_invocation_and_takes_no_other() {
    let api = RuntimeApi::start().await.unwrap();
    let dies = async {
        poll(&api).await;
        api.process_ended("exit status 1");
    };
    let (outcome, ()) = tokio::join!(api.invoke(json!(1), LIMIT), dies);
    assert_eq!(
        outcome,
        Err(FunctionError::new("Runtime.ExitError", "exit status 1"))
    );
    let heir = async {
        let (headers, event) = poll(&api).await;
        send(
            &api,
            &format!("invocation/{}/response", id(&headers)),
            event,
        )
        .await
    };
    let (outcome, _) = tokio::join!(api.invoke(json!(2), LIMIT), heir);
    assert_eq!(outcome, Ok(json!(2)));
}

#[tokio::test]
async fn a_silent_function_times_out() {
    let api = RuntimeApi::start().await.unwrap();
    let (outcome, _) = tokio::join!(api.invoke(json!(1), Duration::ZERO), poll(&api));
    assert_eq!(outcome.unwrap_err().error_type, "Sandbox.Timedout");
}
