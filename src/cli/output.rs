//! What commands print: to stdout what was asked for, to stderr the rest.

use std::io::{self, BufWriter, IsTerminal, Write, stderr, stdin, stdout};

use serde::Serialize;

use crate::cli::exit::{CommandFailure, DONE};

/// Buffered lines to stdout.
pub(crate) struct Output(BufWriter<io::StdoutLock<'static>>);

impl Output {
    /// Takes stdout.
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(stdout().lock()))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As stdout says.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        self.0.write_all(line.as_ref().as_bytes())?;
        self.0.write_all(b"\n")
    }

    /// Writes a value as a line of JSON.
    ///
    /// # Errors
    /// As stdout says.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, value)?;
        self.0.write_all(b"\n")
    }

    /// Hands everything over.
    ///
    /// # Errors
    /// As stdout says.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whoever read the output has enough of it: what was found stands, and so does its exit code.
///
/// # Errors
/// As stdout says otherwise.
pub(crate) fn unless_closed(written: io::Result<()>) -> Result<(), CommandFailure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a value as JSON, or the lines that say the same to a person.
///
/// # Errors
/// As stdout says.
pub(crate) fn show(
    is_json: bool,
    value: &impl Serialize,
    lines: &[String],
) -> Result<u8, CommandFailure> {
    let mut output = Output::new();
    if is_json {
        output.json(value)?;
    } else {
        lines.iter().try_for_each(|line| output.line(line))?;
    }
    output.flush()?;
    Ok(DONE)
}

/// A payload on one line. Line ends in JSON stand between its tokens only, where a blank does too.
pub(crate) fn one_line(payload: &str) -> String {
    payload.replace(['\n', '\r'], " ")
}

/// Tells what went wrong. Nothing can be done if nobody listens.
pub(crate) fn error(message: &str) {
    drop(writeln!(stderr(), "error: {message}"));
}

/// Tells something on the way to a person, if one is watching.
pub(crate) fn hint(message: &str) {
    if stdout().is_terminal() {
        note(message);
    }
}

/// Draws lines over those drawn before, for a person who watches; none clears them.
pub(crate) fn redraw(before: usize, lines: &[String]) {
    if !stderr().is_terminal() {
        return;
    }
    // What is wider than the terminal is cut: folded lines would not be counted.
    let mut text = "\x1b[?7l".to_owned();
    if before > 0 {
        text.push_str(&format!("\x1b[{before}A\x1b[J"));
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("\x1b[?7h");
    drop(stderr().write_all(text.as_bytes()));
}

/// Asks a person, who has to say yes.
///
/// # Errors
/// As stderr and stdin say.
pub(crate) fn is_confirmed(question: &str) -> Result<bool, CommandFailure> {
    write!(stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Tells something on the way. Nothing can be done if nobody listens.
pub(crate) fn note(message: &str) {
    drop(writeln!(stderr(), "{message}"));
}
