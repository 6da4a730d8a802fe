//! A headless Chromium whose keys a test presses, by the DevTools protocol.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

use crate::support::http::{agent, connect, send};

/// How long a test waits for something on a page before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Chromium of this machine: without one, what a browser shows is not known.
pub(crate) fn chromium() -> &'static str {
    let is_there = |name: &&&str| {
        let shown = Command::new(name).arg("--version").output();
        shown.is_ok_and(|output| output.status.success())
    };
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().find(is_there);
    found.copied().unwrap_or_else(|| panic!("none of {names:?} is installed"))
}

/// A key that is no character.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Tab,
    BackTab,
    Enter,
    Space,
    Down,
}

impl Key {
    /// Its name, its number and what it writes.
    fn parts(self) -> (&'static str, u32, Option<&'static str>) {
        match self {
            Self::Tab | Self::BackTab => ("Tab", 9, None),
            Self::Enter => ("Enter", 13, Some("\r")),
            Self::Space => (" ", 32, Some(" ")),
            Self::Down => ("ArrowDown", 40, None),
        }
    }
}

/// A page in a browser of its own, which is closed when dropped.
pub(crate) struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    calls: u64,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page.
    pub(crate) fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(chromium());
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let addr = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the browser has ended");
            if let Some((_, rest)) = line.split_once("DevTools listening on ws://") {
                break rest.split('/').next().unwrap().to_owned();
            }
        };
        // It must not wait for somebody to read its complaints.
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let page = loop {
            let list = format!("http://{addr}/json/list");
            let listed = send(&agent(), &list, "GET", (b"", &[]));
            let targets: Value = serde_json::from_str(&listed.body).unwrap();
            let pages = targets.as_array().unwrap().iter().filter(|one| one["type"] == "page");
            if let Some(page) = pages.into_iter().next() {
                break page["webSocketDebuggerUrl"].as_str().unwrap().to_owned();
            }
        };
        let request = page.into_client_request().unwrap();
        let stream = connect(addr.parse().unwrap());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        let mut browser = Self { child, socket, calls: 0, _profile: profile };
        browser.call("Page.navigate", &json!({"url": url}));
        browser
    }

    /// Calls a method of the protocol and waits for what it answers.
    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let call = json!({"id": self.calls, "method": method, "params": params});
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.calls {
                assert_eq!(answer["error"], Value::Null, "{method} {params}");
                return answer["result"].take();
            }
        }
    }

    /// Goes to another page.
    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", &json!({"url": url}));
    }

    /// Makes the screen that of a phone, so many pixels wide, in the dark or not.
    pub(crate) fn phone(&mut self, width: u32, is_dark: bool) {
        let screen = json!({"width": width, "height": 640, "deviceScaleFactor": 2, "mobile": true});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": feature}));
    }

    /// A picture of the whole page, as PNG in base64.
    pub(crate) fn picture(&mut self) -> String {
        let whole = json!({"captureBeyondViewport": true});
        let taken = self.call("Page.captureScreenshot", &whole);
        taken["data"].as_str().unwrap().to_owned()
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
        });
        let mut answer = self.call("Runtime.evaluate", &params);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].take()
    }

    /// The text of an element.
    #[track_caller]
    pub(crate) fn text(&mut self, id: &str) -> String {
        let value = self.value(&format!("document.getElementById('{id}').textContent"));
        value.as_str().unwrap().to_owned()
    }

    /// Waits in the page until an expression is true there.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let promise = format!(
            "new Promise((done) => {{ const look = () => ({expression}) ? done(true) \
             : setTimeout(look, 20); look(); }})"
        );
        assert_eq!(self.value(&promise), true, "{expression}");
    }

    /// Presses a key and lets go of it.
    #[track_caller]
    pub(crate) fn press(&mut self, key: Key) {
        let (name, number, text) = key.parts();
        let shift = if matches!(key, Key::BackTab) { 8 } else { 0 };
        self.strike(name, number, (text, shift));
    }

    /// Types characters.
    #[track_caller]
    pub(crate) fn write(&mut self, text: &str) {
        for character in text.chars() {
            let character = character.to_string();
            self.strike(&character, u32::from(character.as_bytes()[0]), (Some(&character), 0));
        }
    }

    #[track_caller]
    fn strike(&mut self, key: &str, number: u32, (text, modifiers): (Option<&str>, u32)) {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({
                "type": kind,
                "key": key,
                "windowsVirtualKeyCode": number,
                "modifiers": modifiers,
            });
            if let (Some(text), "keyDown") = (text, kind) {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", &params);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = json!({"id": 0, "method": "Browser.close"});
        if self.socket.send(Message::text(close.to_string())).is_err() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
