//! A browser without a screen, driven as a person would use it: by WebDriver, <https://www.w3.org/TR/webdriver2/>, byte by
//! byte, because a library for it would change the features of crates that the project is built with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

/// How long something may take to be there.
const BOUND: Duration = Duration::from_secs(30);
/// The key under which the protocol has an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The arrow to the right, as the protocol writes it.
pub const RIGHT: &str = "\u{e014}";

/// A browser with one page; it ends with this value.
pub struct Browser {
    driver: Child,
    at: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts Chromium, if this machine has it and its driver.
    #[track_caller]
    pub fn start() -> Option<Browser> {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", at.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // With the browser, which ends with it.
            .process_group(0)
            .spawn();
        let Ok(driver) = driver else {
            eprintln!("skipped: there is no chromedriver (Debian's chromium-driver)");
            return None;
        };
        let mut browser = Browser { driver, at, session: String::new() };
        let options = json!({ "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--window-size=1200,900",
        ]});
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let begun = Instant::now();
        let session = loop {
            match browser.ask("POST", "/session", &wanted) {
                Ok(session) => break session,
                Err(why) => assert!(begun.elapsed() < BOUND, "no browser: {why}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Sends a command. Returns its value, or what the driver says is wrong.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: \
             {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(self.at).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(2 * BOUND)).unwrap();
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let answer = read(&mut stream)?;
        let value = serde_json::from_slice::<Value>(&answer).map_err(|error| error.to_string())?;
        match value["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["value"]["message"])),
            None => Ok(value["value"].clone()),
        }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.ask(method, &format!("{}{path}", self.session), body)
    }

    /// Opens a page.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url })).unwrap();
    }

    /// The size of the window.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height });
        self.command("POST", "/window/rect", &size).unwrap();
    }

    /// What a script returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let call = json!({ "script": script, "args": [] });
        self.command("POST", "/execute/sync", &call).unwrap()
    }

    /// Does something with the first element that a selector finds, once that is there and lets it.
    #[track_caller]
    fn with(&self, css: &str, method: &str, what: &str, body: &Value) -> Value {
        let begun = Instant::now();
        loop {
            let find = json!({ "using": "css selector", "value": css });
            let done = self.command("POST", "/element", &find).and_then(|found| {
                let element = found[ELEMENT].as_str().unwrap_or_default();
                self.command(method, &format!("/element/{element}/{what}"), body)
            });
            match done {
                Ok(value) => return value,
                Err(why) => assert!(begun.elapsed() < BOUND, "{css}: {why}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks on it.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.with(css, "POST", "click", &json!({}));
    }

    /// Writes into it, in place of what it has.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        self.with(css, "POST", "clear", &json!({}));
        self.press(css, text);
    }

    /// Presses keys while it has the focus.
    #[track_caller]
    pub fn press(&self, css: &str, keys: &str) {
        self.with(css, "POST", "value", &json!({ "text": keys }));
    }

    /// Its text, as it can be read.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        self.with(css, "GET", "text", &json!({})).as_str().unwrap().to_owned()
    }

    /// Waits until its text is as wanted.
    #[track_caller]
    pub fn until(&self, css: &str, is_wanted: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let text = self.text(css);
            if is_wanted(&text) {
                return;
            }
            assert!(begun.elapsed() < BOUND, "{css} is {text:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The content of an answer.
fn read(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length =
                head.split("content-length:").nth(1).ok_or("an answer without a length")?;
            let length: String =
                length.trim_start().chars().take_while(char::is_ascii_digit).collect();
            let length: usize = length.parse().map_err(|_| "an answer with a strange length")?;
            if bytes.len() >= end + 4 + length {
                return Ok(bytes[end + 4..end + 4 + length].to_vec());
            }
        }
        match stream.read(&mut part).map_err(|error| error.to_string())? {
            0 => return Err("the driver has hung up".to_owned()),
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All of it fails only if it has ended.
        if !self.session.is_empty() {
            let _ = self.command("DELETE", "", &json!({}));
        }
        let group = rustix::process::Pid::from_child(&self.driver);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.driver.wait();
    }
}
