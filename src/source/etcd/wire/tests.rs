//! What is asked and what is answered, as a server of 3.4 writes it; refusals of newer ones too.

use super::*;

#[test]
fn what_is_asked() {
    let check = |asked: &str, expected: &str| assert_eq!(asked, expected);
    check(&page("a", b"ab\0", 7).to_string(), r#"{"key":"YWIA","limit":"1000","range_end":"Yg==","revision":"7"}"#);
    check(&key("a").to_string(), r#"{"key":"YQ=="}"#);
    check(
        &watches(&["a".into(), "c".into()], 8),
        concat!(
            r#"{"create_request":{"fragment":true,"key":"YQ==","range_end":"Yg==","start_revision":"8"}}"#,
            r#"{"create_request":{"fragment":true,"key":"Yw==","range_end":"ZA==","start_revision":"8"}}"#
        ),
    );
    check(&lease(30).to_string(), r#"{"TTL":"30"}"#);
    check(
        &put_unchanged("a", "[1]", 5, 9).to_string(),
        concat!(
            r#"{"compare":[{"key":"YQ==","mod_revision":"9","result":"EQUAL","target":"MOD"}],"#,
            r#""success":[{"request_put":{"key":"YQ==","lease":"5","value":"WzFd"}}]}"#
        ),
    );
}

#[test]
fn what_is_answered() {
    let range: Range = answer(
        200,
        br#"{"header":{"cluster_id":"324952591200643719","revision":"12","raft_term":"2"},"kvs":[{"key":"YTE=",
            "create_revision":"2","mod_revision":"3","version":"2","value":"eA=="}],"more":true,"count":"2"}"#,
    )
    .unwrap();
    let kv = range.kvs.first().unwrap();
    assert_eq!((range.header.revision, range.more, range.kvs.len()), (12, true, 1));
    assert_eq!((kv.key.as_slice(), kv.value.as_slice(), kv.mod_revision), (b"a1".as_slice(), b"x".as_slice(), 3));
    let nothing: Range = answer(200, br#"{"header":{"revision":12}}"#).unwrap();
    assert_eq!((nothing.header.revision, nothing.more, nothing.kvs.len()), (12, false, 0));
    let granted: Granted = answer(200, br#"{"header":{},"ID":"2324035686520294413","TTL":"30"}"#).unwrap();
    assert_eq!(granted.id, 2_324_035_686_520_294_413);
    assert!(answer::<Txn>(200, br#"{"header":{},"succeeded":true}"#).unwrap().succeeded);
    assert!(!answer::<Txn>(200, br#"{"header":{}}"#).unwrap().succeeded);
}

#[test]
fn what_is_refused() {
    let check = |status: u16, body: &str, why: &str, is_token: bool| {
        let refusal = answer::<Range>(status, body.as_bytes()).unwrap_err();
        assert_eq!(refusal, Refusal { why: why.into(), is_token }, "{body}");
    };
    let compacted = r#"{"error":"etcdserver: mvcc: required revision has been compacted","message":"etcdserver: mvcc: required revision has been compacted","code":11}"#;
    check(400, compacted, "etcdserver: mvcc: required revision has been compacted", false);
    let invalid = r#"{"code":16, "message":"etcdserver: invalid auth token", "details":[]}"#;
    check(401, invalid, "etcdserver: invalid auth token", true);
    let old = r#"{"error":"etcdserver: revision of auth store is old","code":3}"#;
    check(400, old, "etcdserver: revision of auth store is old", true);
    check(404, "404 page not found", "it does not answer as etcd's gateway does: \"404 page not found\" (404)", false);
    check(
        200,
        r#"{"header":{"revision":"x"}}"#,
        "it does not answer as etcd's gateway does: \"x\" is no number at line 1 column 26",
        false,
    );
}
