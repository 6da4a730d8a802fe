//! Messages under work over HTTP: leased, settled, given back, given up, brought back.

use std::{io::Write, time::Duration};

use serde_json::{Value, json};

use crate::support::lease::{LeaseServer, Leasing, tokens};

#[test]
fn a_lease_answers_messages_with_a_token_and_its_end_and_an_ack_is_final() {
    let Leasing { server, clock } = Leasing::start();
    server.push("q", &[3, 0]);
    let leased = server.post("/queue/q/lease", "").ok();
    assert_eq!(leased["count"], 1);
    let message = leased["messages"][0].as_object().unwrap();
    let names: Vec<_> = message.keys().map(String::as_str).collect();
    let expected = ["deliveries", "id", "item", "lease", "lease_expires_at", "priority"];
    assert_eq!(names[..6], expected, "and pushed_at: {names:?}");
    assert_eq!((names.len(), names[6]), (7, "pushed_at"));
    let now = clock.now_ms();
    assert_eq!(message["lease_expires_at"], now + 30_000, "30 s unless something else is said");
    let seen = (&message["item"], &message["priority"], &message["deliveries"]);
    assert_eq!(seen, (&json!({"n":1}), &json!(0), &json!(1)));
    let body = json!({"depth": 9, "ttl_ms": 60_000, "worker": "w1"});
    let rest = server.lease("q", &body).ok();
    assert_eq!((&rest["count"], &rest["messages"][0]["item"]), (&json!(1), &json!({"n":0})));
    assert_eq!(rest["messages"][0]["lease_expires_at"], now + 60_000);
    assert_eq!(server.lease("q", &json!({})).ok(), json!({"messages": [], "count": 0}));
    let both: Vec<_> = tokens(&leased).into_iter().chain(tokens(&rest)).collect();
    let acked = server.settle("ack", &json!({ "leases": both })).ok();
    assert_eq!(acked, json!({"acked": 2, "failed": []}));
    server.settle("ack", &json!({ "leases": both })).refused(404, "lease_not_found");
    let stats = server.get("/queue/q/stats").ok();
    assert_eq!(
        (&stats["leased"], &stats["ready"], &stats["acked"]),
        (&json!(0), &json!(0), &json!(2))
    );
}

#[test]
fn a_nack_gives_a_message_back_to_its_place_at_once_or_after_a_delay() {
    let Leasing { server, clock } = Leasing::start();
    let ids = server.push("q", &[1, 1]);
    let lease = server.token("q");
    let nacked = server.settle("nack", &json!({"leases": [lease], "reason": "busy"})).ok();
    assert_eq!(nacked, json!({"nacked": 1, "failed": []}));
    let leased = server.lease("q", &json!({})).ok();
    let first = &leased["messages"][0];
    let seen = (&first["id"], &first["deliveries"], &first["reason"]);
    assert_eq!(seen, (&json!(ids[0]), &json!(2), &json!("busy")));
    let body = json!({"leases": tokens(&leased), "delay_ms": 5_000, "count": false});
    assert_eq!(server.settle("nack", &body).ok()["nacked"], 1);
    let path = format!("/queue/q/message/{}", ids[0]);
    let message = server.get(&path).ok();
    assert_eq!((&message["state"], &message["deliveries"]), (&json!("scheduled"), &json!(1)));
    clock.advance(Duration::from_millis(4_999));
    server.settle_duties();
    assert_eq!(server.get(&path).ok()["state"], "scheduled");
    clock.advance(Duration::from_millis(1));
    server.settle_duties();
    assert_eq!(server.get(&path).ok()["state"], "ready");
    let popped = server.post("/queue/q/pop?depth=2", "").ok();
    assert_eq!(popped["items"], json!([{"n":0},{"n":1}]));
}

#[test]
fn an_extended_lease_ends_at_now_plus_its_time_and_an_expired_one_is_gone() {
    let Leasing { server, clock } = Leasing::start();
    server.push("q", &[1]);
    let lease = server.token("q");
    clock.advance(Duration::from_secs(20));
    let extended = server.settle("extend", &json!({"leases": [lease], "ttl_ms": 45_000})).ok();
    let end = clock.now_ms() + 45_000;
    let expected = json!({"extended": [{"lease": lease, "lease_expires_at": end}], "failed": []});
    assert_eq!(extended, expected);
    let extended = server.settle("extend", &json!({"leases": [lease]})).ok();
    assert_eq!(extended["extended"][0]["lease_expires_at"], clock.now_ms() + 30_000);
    clock.advance(Duration::from_secs(30));
    for verb in ["extend", "ack", "nack", "dead-letter"] {
        server.settle(verb, &json!({"leases": [lease]})).refused(410, "lease_expired");
    }
    server.settle_duties();
    let again = server.lease("q", &json!({})).ok();
    assert_eq!(again["messages"][0]["deliveries"], 2);
    server.settle("ack", &json!({"leases": [lease]})).refused(410, "lease_expired");
    assert_eq!(server.settle("ack", &json!({"leases": tokens(&again)})).ok()["acked"], 1);
}

#[test]
fn each_lease_that_fails_is_named_and_harms_no_other() {
    let Leasing { server, clock } = Leasing::start();
    server.push("q", &[5]);
    server.push("other", &[1]);
    let foreign = server.token("other");
    let short = tokens(&server.lease("q", &json!({"ttl_ms": 1_000})).ok()).remove(0);
    clock.advance(Duration::from_secs(1));
    let mut unknown = short.clone();
    unknown.replace_range(16..24, "ffffffff");
    let not_found = |lease: &str| json!({"lease": lease, "code": "lease_not_found"});
    let failed = json!([
        not_found("no token"), {"lease": short, "code": "lease_expired"}, not_found(&foreign),
        not_found(&unknown), not_found("\u{e9}\"\n"),
    ]);
    server.settle_duties();
    for (verb, count) in [("ack", "acked"), ("nack", "nacked")] {
        server.push("q", &[1]);
        let good = server.token("q");
        let leases = json!(["no token", short, foreign, unknown, good, "\u{e9}\"\n"]);
        let done = server.settle(verb, &json!({ "leases": leases })).ok();
        assert_eq!((&done[count], &done["failed"]), (&json!(1), &failed), "{verb}");
    }
    let good = server.token("q");
    let leases = json!(["no token", short, foreign, unknown, good, "\u{e9}\"\n"]);
    let done = server.settle("extend", &json!({ "leases": leases })).ok();
    assert_eq!((&done["extended"][0]["lease"], &done["failed"]), (&json!(good), &failed));
    let detail = server.settle("ack", &json!({"leases": [short, "x"]}));
    let detail = detail.detail(404, "lease_not_found");
    assert!(detail.starts_with("none of the 2 leases"), "{detail}");
    server.settle("ack", &json!({"leases": [short, short]})).refused(410, "lease_expired");
    let twice = server.settle("ack", &json!({"leases": [good, good]})).ok();
    assert_eq!(twice, json!({"acked": 1, "failed": [not_found(&good)]}));
    assert_eq!(server.get("/queue/other/stats").ok()["leased"], 1);
}

#[test]
fn work_that_is_given_up_is_a_dead_letter_that_comes_back_by_depth_or_by_id() {
    let server = LeaseServer::start();
    let ids = server.push("q", &[2, 1, 1, 1]);
    let leased = server.lease("q", &json!({"depth": 4})).ok();
    let mut leases = tokens(&leased);
    leases.insert(2, "no token".to_owned());
    let body = json!({"leases": leases, "reason": "broken"});
    let moved = server.settle("dead-letter", &body).ok();
    let failed = json!([{"lease": "no token", "code": "lease_not_found"}]);
    assert_eq!(moved, json!({"moved": 4, "queue": "q-deadletter", "failed": failed}));
    let dead = server.get("/queue/q-deadletter/peek?depth=9").ok();
    let last = &dead["messages"][3];
    let death = &last["dead_letter"];
    assert_eq!((&last["priority"], &death["id"]), (&json!(2), &json!(ids[0])));
    assert_eq!((&death["origin"], &death["reason"]), (&json!("q"), &json!("broken")));
    let redrive = |body: &Value| server.settle("redrive", body).ok();
    let nowhere = json!({"ids": ["nope", "0000000000000abc00000001"]});
    assert_eq!(redrive(&nowhere), json!({"moved": 0}));
    assert_eq!(redrive(&json!({"ids": ["nope"]})), json!({"moved": 0}));
    assert_eq!(redrive(&json!({"ids": ["nope", last["id"]]})), json!({"moved": 1}));
    assert_eq!(redrive(&json!({"depth": 2})), json!({"moved": 2}));
    assert_eq!(server.post("/queue/q/redrive", "").ok(), json!({"moved": 1}));
    let back = server.get("/queue/q/peek?depth=9").ok();
    assert_eq!((&back["count"], &back["messages"][3]["priority"]), (&json!(4), &json!(2)));
    assert_eq!(back["messages"][0]["deliveries"], 0);
    let stats = server.get("/queue/q/stats").ok();
    assert_eq!((&stats["dead"], &stats["dead_lettered"]), (&json!(0), &json!(4)));
}

#[test]
fn a_message_says_its_state_and_is_not_cancelled_under_work() {
    let Leasing { server, .. } = Leasing::start();
    let ids = server.push("q", &[1]);
    let path = format!("/queue/q/message/{}", ids[0]);
    assert_eq!(server.get(&path).ok()["state"], "ready");
    let lease = server.token("q");
    assert_eq!(server.get(&path).ok()["state"], "leased");
    server.send("DELETE", &path, b"").refused(409, "leased");
    server.settle("nack", &json!({"leases": [lease], "delay_ms": 1_000})).ok();
    assert_eq!(server.get(&path).ok()["state"], "scheduled");
    server.send("DELETE", &path, b"").ok();
    server.get(&path).refused(404, "message_not_found");
}

#[test]
fn a_message_with_a_delay_is_ready_when_it_is_due() {
    let Leasing { server, clock } = Leasing::start();
    let body = json!({"item": {"n": 0}, "delay_ms": 2_000});
    let pushed = server.post("/queue/q/push", body.to_string()).ok();
    let path = format!("/queue/q/message/{}", pushed["ids"][0].as_str().unwrap());
    assert_eq!(server.get(&path).ok()["state"], "scheduled");
    assert_eq!(server.get("/queue/q/stats").ok()["scheduled"], 1);
    let batch = json!({"items": [{"item": {"n": 1}, "delay_ms": 2_001}, {"item": {"n": 2}}]});
    server.post("/queue/q/push", batch.to_string()).ok();
    clock.advance(Duration::from_secs(2));
    server.settle_duties();
    let popped = server.post("/queue/q/pop?depth=9", "").ok();
    assert_eq!(popped["items"], json!([{"n":0},{"n":2}]));
}

#[test]
fn a_message_whose_time_is_over_goes_the_way_the_queue_says() {
    let Leasing { server, clock } = Leasing::start();
    server.put("/queue/q/config", r#"{"on_expire":"dead_letter"}"#).ok();
    let body = json!({"item": {}, "ttl_ms": 3_000});
    let answer = server.post("/queue/q/push", body.to_string()).ok();
    let path = format!("/queue/q/message/{}", answer["ids"][0].as_str().unwrap());
    assert_eq!(server.get(&path).ok()["expires_at"], clock.now_ms() + 3_000);
    server.post("/queue/drop/push", body.to_string()).ok();
    clock.advance(Duration::from_secs(3));
    server.settle_duties();
    let letter = server.get("/queue/q-deadletter/peek").ok();
    assert_eq!(letter["messages"][0]["dead_letter"]["reason"], "its time to live ended");
    let stats = server.get("/queue/drop/stats").ok();
    assert_eq!((&stats["ready"], &stats["dropped"]), (&json!(0), &json!(1)));
}

#[test]
fn a_push_with_a_key_that_is_remembered_answers_the_original_and_changes_nothing() {
    let Leasing { server, clock } = Leasing::start();
    let push = |body: &Value| server.post("/queue/q/push", body.to_string()).ok();
    let body = json!({"item": {"n": 1}, "key": "order-1"});
    let first = push(&body);
    let id = &first["ids"][0];
    assert_eq!((&first["count"], first.get("duplicates")), (&json!(1), None));
    let lease = server.token("q");
    let again = push(&json!({"items": [{"item": {"n": 2}}, {"item": {"n": 3}, "key": "order-1"}]}));
    assert_eq!((&again["count"], &again["ids"][1]), (&json!(1), id));
    assert_eq!(again["duplicates"], json!([{"index": 1, "id": id, "state": "leased"}]));
    server.settle("ack", &json!({"leases": [lease]})).ok();
    clock.advance(Duration::from_millis(299_999));
    let again = push(&body);
    let expected = json!([{"index": 0, "id": id, "state": "done"}]);
    assert_eq!((&again["count"], &again["duplicates"]), (&json!(0), &expected));
    clock.advance(Duration::from_millis(1));
    assert_eq!(push(&body)["count"], 1, "five minutes later it is forgotten");
    assert_eq!(server.get("/queue/q/stats").ok()["duplicates"], 2);
}

#[test]
fn a_lease_waits_in_line_for_a_message() {
    let Leasing { server, .. } = Leasing::start();
    std::thread::scope(|scope| {
        let leasing = scope.spawn(|| server.lease("q", &json!({"wait_ms": 60_000})));
        server.push("q", &[1]);
        assert_eq!(leasing.join().unwrap().ok()["count"], 1);
    });
}

#[test]
fn a_lease_that_is_given_up_gives_nothing_away() {
    let Leasing { server, .. } = Leasing::start();
    let mut gone = server.connect();
    let body = r#"{"wait_ms":60000}"#;
    let head = "POST /queue/q/lease HTTP/1.1\r\nhost: x\r\ncontent-length: 17\r\n\r\n";
    gone.write_all(format!("{head}{body}").as_bytes()).unwrap();
    server.until(|| server.in_flight() == 2);
    drop(gone);
    server.until(|| server.in_flight() == 1);
    server.push("q", &[1]);
    let leased = server.lease("q", &json!({})).ok();
    assert_eq!(leased["messages"][0]["deliveries"], 1, "nobody had it before");
}

#[test]
fn metrics_tell_what_became_of_all_messages() {
    let Leasing { server, clock } = Leasing::start();
    server.push("q", &[1; 10]);
    server.push("r", &[1, 1]);
    server.post("/queue/r/pop?depth=2", "").ok();
    let tokens = |count: usize| (0..count).map(|_| server.token("q")).collect::<Vec<_>>();
    server.settle("ack", &json!({"leases": tokens(3)})).ok();
    server.settle("nack", &json!({"leases": tokens(1)})).ok();
    tokens(4);
    clock.advance(Duration::from_secs(30));
    server.settle_duties();
    let metrics = server.get("/metrics").body;
    for (event, total) in
        [("pushed", 12), ("popped", 2), ("acked", 3), ("nacked", 1), ("expired", 4)]
    {
        let line = format!("lanekeeper_queue_messages_total{{event=\"{event}\"}} {total}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}
