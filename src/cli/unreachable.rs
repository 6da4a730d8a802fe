//! What a person is told when a server gives no answer, or one that is not Lanekeeper's.

use std::io::{self, ErrorKind};

use lanekeeper::wire;
use ureq::{
    Body, Error, Timeout,
    http::{Response, StatusCode, header::CONTENT_TYPE},
};

use crate::cli::{
    backend::http::{ANSWER_TIMEOUT, CONNECT_TIMEOUT},
    exit::{
        CommandFailure,
        Outlook::{self, Away, Later, Unreached},
    },
};

/// Why there was no answer.
pub(crate) fn unanswered(server: &str, error: &Error) -> CommandFailure {
    let (outlook, text) = match error {
        Error::Io(error) => of_io(server, error),
        Error::HostNotFound => (Unreached, unknown_host(server)),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => (Unreached, unconnected(server)),
        Error::Timeout(_) => {
            let seconds = ANSWER_TIMEOUT.as_secs();
            (Away, format!("{server} did not answer within {seconds} s; it may be overloaded"))
        }
        Error::ConnectionFailed => (Unreached, unconnected(server)),
        Error::BadUri(_) | Error::Http(_) => return CommandFailure::usage(no_address(server)),
        Error::Protocol(_) => (Outlook::Final, foreign(server, "what is not HTTP/1.1")),
        other => (Outlook::Final, format!("{server}: {other}")),
    };
    CommandFailure::passing(outlook, text)
}

/// Why nothing can be asked of a server, in a sentence.
pub(crate) fn sentence(server: &str, error: &io::Error) -> String {
    of_io(server, error).1
}

fn of_io(server: &str, error: &io::Error) -> (Outlook, String) {
    let plain = plain(error);
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            let advice = "start one with `lanekeeper serve`, name another with --server, or open \
                          a data directory with --data DIR where the command has it";
            (Unreached, format!("cannot reach {server}: no server is running there; {advice}"))
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            (Away, format!("{server} did not answer in time; it may be overloaded"))
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => {
            let text = format!(
                "{server} closed the connection before it answered: it may have ended, and what \
                 was asked may have been done; or it speaks TLS or another protocol"
            );
            (Away, text)
        }
        _ if plain.starts_with("failed to lookup") => (Unreached, unknown_host(server)),
        _ => (Unreached, format!("cannot reach {server}: {plain}; check the address and network")),
    }
}

/// An error of the system without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn unknown_host(server: &str) -> String {
    format!(
        "cannot reach {server}: its name cannot be resolved; check --server (LANEKEEPER_SERVER)"
    )
}

fn unconnected(server: &str) -> String {
    let seconds = CONNECT_TIMEOUT.as_secs();
    format!(
        "cannot reach {server}: no connection within {seconds} s; check the address, and whether a \
         firewall is in the way"
    )
}

/// Refuses an address.
pub(crate) fn no_address(server: &str) -> String {
    let hint = match server.strip_prefix("https://") {
        Some(rest) => format!(
            "; a server speaks plain HTTP (http://{rest}), and TLS ends at a proxy before it"
        ),
        None => String::new(),
    };
    format!("--server must be an address such as http://127.0.0.1:8000, not {server:?}{hint}")
}

fn foreign(server: &str, what: &str) -> String {
    format!(
        "{server} answered with {what}: this is not a Lanekeeper server, or TLS is spoken there; \
         check --server (LANEKEEPER_SERVER)"
    )
}

/// Why an answer could not be read.
pub(crate) fn not_understood(
    server: &str,
    response: &Response<Body>,
    error: &serde_json::Error,
) -> CommandFailure {
    CommandFailure::failed(match foreign_type(response) {
        Some(kind) => foreign(server, &kind),
        None => format!(
            "the answer of {server} is not understood ({error}); it may be of another version than \
             this command, {}",
            env!("CARGO_PKG_VERSION")
        ),
    })
}

/// The type of an answer that is not JSON.
fn foreign_type(response: &Response<Body>) -> Option<String> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("no content type").split(';').next().unwrap_or_default().trim();
    (!kind.ends_with("json")).then(|| kind.to_owned())
}

/// What a server said when it refused.
pub(crate) fn refusal(server: &str, response: &Response<Body>, body: &[u8]) -> CommandFailure {
    let status = response.status();
    match serde_json::from_slice::<wire::Problem>(body) {
        Ok(problem) => CommandFailure {
            outlook: outlook(status, &problem.code),
            retry_after: problem.retry_after_ms.map(std::time::Duration::from_millis),
            ..CommandFailure::failed(format!("{} ({})", problem.detail, problem.code))
                .coded(problem.code)
        },
        Err(_) => {
            let kind = foreign_type(response).unwrap_or_else(|| "other JSON".to_owned());
            let text = foreign(server, &format!("{status} and {kind}"));
            let is_proxy = matches!(status.as_u16(), 502..=504);
            CommandFailure::passing(if is_proxy { Away } else { Outlook::Final }, text)
        }
    }
}

fn outlook(status: StatusCode, code: &str) -> Outlook {
    match (status.as_u16(), code) {
        (503, "paused") => Later,
        (503, _) | (408, "request_timeout") => Away,
        (408 | 423 | 429 | 500..=599, _) => Later,
        _ => Outlook::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_become_sentences_without_their_numbers() {
        for (code, wanted) in [
            (111, "no server is running there; start one with `lanekeeper serve`"),
            (113, "No route to host; check the address"),
            (104, "closed the connection before it answered"),
        ] {
            let told = unanswered("http://h:1", &Error::Io(io::Error::from_raw_os_error(code)));
            assert!(told.message.contains(wanted), "{}", told.message);
            assert!(told.message.contains("http://h:1") && !told.message.contains("os error"));
        }
        let lookup = io::Error::other("failed to lookup address information: Name or service");
        assert!(sentence("http://nowhere:1", &lookup).contains("its name cannot be resolved"));
        let slow = unanswered("http://h:1", &Error::Timeout(Timeout::Connect));
        assert!(slow.message.contains("no connection within 5 s"), "{}", slow.message);
        let slow = unanswered("http://h:1", &Error::Timeout(Timeout::RecvResponse));
        assert!(slow.message.contains("did not answer within 60 s"), "{}", slow.message);
    }
}
