//! Servers that do not answer, not yet, or not as Lanekeeper does: each is told in a sentence.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
};

use crate::support::process::{lanekeeper, run};

const RECOVERING: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 135\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"the \
    node is still reading its data\",\"code\":\"recovering\"    }";
const NO_QUEUES: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\
    \r\ncontent-length: 36\r\n\r\n{\"queues\":[],\"count\":0,\"next\":null}\n";

/// Somebody who gives these answers, one a connection, and then is gone.
fn answering(answers: &[&str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let answers: Vec<_> = answers.iter().map(|&answer| answer.to_owned()).collect();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 4_096];
            let _ = stream.read(&mut asked);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    addr
}

/// What `queues` complains of when it is answered so.
fn complaint(answer: &str) -> String {
    let server = format!("http://{}", answering(&[answer]));
    let ended = run(lanekeeper(["queues", "--server", &server]));
    let complaint = ended.failed(1).to_owned();
    assert!(complaint.contains(&server), "{complaint}");
    complaint
}

#[test]
fn nobody_at_an_address_is_told_with_what_to_start() {
    // Bound and gone: nobody listens there.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{addr}");
    for args in [
        &["push", "q", "{}"][..],
        &["pop", "q", "--wait", "1s"],
        &["lease", "q"],
        &["purge", "q"],
        &["queues"],
        &["workers"],
        &["gate", "acquire", "g", "o"],
        &["gate", "run", "g"],
        &["subscribe", "t"],
        &["publish", "t", "{}"],
        &["prepopulate", "q", "--count", "1"],
        &["loadtest", "s3a"],
    ] {
        let mut command = lanekeeper(args);
        command.args(["--server", &server]);
        if args.get(1) == Some(&"run") {
            command.args(["--", "true"]);
        }
        let ended = run(command);
        let told = format!("cannot reach {server}: no server is running there; start one with");
        assert!(ended.stderr.contains(&told), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("os error"), "{args:?}: {}", ended.stderr);
        assert!(matches!(ended.code, Some(1 | 3)), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_server_that_still_reads_its_data_is_waited_for() {
    let addr = answering(&[RECOVERING, RECOVERING, RECOVERING, NO_QUEUES]);
    run(lanekeeper(["queues", "--server", &format!("http://{addr}")])).ok();
}

#[test]
fn a_load_test_waits_for_such_a_server_too() {
    let poisoned = RECOVERING.replace("503", "500").replace("recovering\"    ", "store_poisoned\"");
    for args in [&["prepopulate", "q", "--count", "1"][..], &["loadtest", "s3a"]] {
        let addr = answering(&[RECOVERING, RECOVERING, &poisoned]);
        let ended = run(lanekeeper(args.iter().chain(&["--server", &format!("http://{addr}")])));
        assert!(ended.stderr.contains("(store_poisoned)"), "it asked again: {ended:?}");
    }
}

#[test]
fn an_answer_that_is_not_lanekeepers_is_a_sentence_without_its_text() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 7\r\n\r\n<html/>";
    let told = complaint(page);
    assert!(told.contains("answered with text/html: this is not a Lanekeeper server"), "{told}");
    let missing =
        "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<p>no\n";
    let told = complaint(missing);
    assert!(told.contains("404 Not Found and text/html") && !told.contains("<p>"), "{told}");
    let other = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\
                 content-length: 15\r\n\r\n{\"error\":\"raw\"}";
    let told = complaint(other);
    assert!(told.contains("400 Bad Request") && !told.contains('{'), "{told}");
    let told = complaint("\x15\x03\x03\x00\x02\x02\x46");
    assert!(told.contains("TLS"), "{told}");
    let told = complaint("");
    assert!(told.contains("closed the connection before it answered"), "{told}");
}

#[test]
fn an_address_that_is_none_is_a_usage_with_the_remedy() {
    for address in ["https://127.0.0.1:1", "127.0.0.1:8000", "http://", "http://a b", "ftp://x"] {
        let ended = run(lanekeeper(["queues", "--server", address]));
        let told = ended.failed(2);
        assert!(told.contains("--server must be an address such as"), "{address}: {told}");
        assert_eq!(told.contains("TLS ends at a proxy"), address.starts_with("https"), "{told}");
    }
}
