//! The token over real sockets: who is asked for it, and who is not.

use super::*;

#[tokio::test]
async fn over_tcp_the_token_is_asked_for_and_over_the_socket_it_is_not() {
    let token: Token = "0123456789abcdef".parse().unwrap();
    let served = Served::asking_for(Some(token.clone()), Kind::Agent).await;
    let get = |path: &str| Client::new().get(format!("http://{}{path}", served.tcp));
    for path in ["/v1/members", "/v1/events", "/metrics", "/nowhere"] {
        let refused = get(path).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(refused.headers()["www-authenticate"], "Bearer", "{path}");
        let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
        assert_eq!(body["format"], "backchat.error/1", "{path}");
    }
    let says = |request: reqwest::RequestBuilder| request.header("authorization", token.bearer());
    assert_eq!(answer(says(get("/v1/members"))).await.0, StatusCode::OK);
    assert_eq!(answer(get("/v1/members").header("authorization", "Bearer 0123456789abcdeF")).await.0, 401);
    assert_eq!(answer(says(get("/v1/members").header("host", "proxy.example"))).await.0, 200, "by its own name");
    assert_eq!(answer(says(get("/v1/members").header("origin", "http://evil.example"))).await.0, 403);
    assert_eq!(answer(get("/healthz")).await.0, StatusCode::OK);
    assert_eq!(answer(get("/readyz")).await.0, StatusCode::OK);
    assert_eq!(served.get("/v1/members").await.0, StatusCode::OK);
}
