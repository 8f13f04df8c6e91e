//! `chimaera dashboard`: the page in a browser, and what others can make its server do.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chimaera_tests::http::{ask, get, status};
use chimaera_tests::process::Running;
use chimaera_tests::{artefacts, Daemon, Options, Site};
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{json, Value};

/// A dashboard that serves.
struct Dashboard {
    process: Running,
    at: SocketAddr,
    url: String,
    token: String,
}

impl Dashboard {
    fn start(site: &Site, more: &[&str]) -> Dashboard {
        let mut command = site.command(artefacts::chimaera());
        command.args(["--name", site.name(), "--json", "dashboard", "--listen", "127.0.0.1:0"]);
        let mut process = Running::start(command.args(more));
        let mut document = String::new();
        while !document.ends_with('}') {
            document += &process.line().expect("it prints a document");
        }
        let document: Value = serde_json::from_str(&document).unwrap();
        let text = |key: &str| document[key].as_str().unwrap().to_owned();
        let at = text("address").parse().unwrap();
        Dashboard { process, at, url: text("url"), token: text("token") }
    }

    /// Posts to the server. Returns the whole answer.
    fn post(&self, path: &str, token: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: \
             {length}\r\n\r\n{body}"
        );
        ask(self.at, request.as_bytes())
    }

    fn document(&self, what: &str, body: &Value) -> Value {
        let answer = self.post(&format!("/api/{what}"), &self.token, &body.to_string());
        assert_eq!(status(&answer), 200, "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

fn daemon() -> Daemon {
    let daemon = Daemon::start(&Options::new().kv());
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    daemon
}

#[test]
fn only_who_has_the_token_is_answered() {
    let daemon = daemon();
    let dashboard = Dashboard::start(daemon.site(), &[]);
    let page = get(dashboard.at, "/", "localhost");
    assert!(status(&page) == 200 && page.contains("<title>Chimaera</title>"), "{page}");
    assert!(page.contains("\r\ncontent-security-policy: default-src 'none'; script-src 'nonce-"));
    assert!(!page.contains(&dashboard.token));
    for token in ["", "0123456789abcdef", &dashboard.token[1..], &format!("{}0", dashboard.token)] {
        for what in ["about", "view", "pools", "log", "config", "call", "nothing"] {
            let answer = dashboard.post(&format!("/api/{what}"), token, "{}");
            let is_told = answer.contains("\"status\":\"CHI_DENIED\"");
            assert!(status(&answer) == 401 && is_told, "{what} {token}: {answer}");
        }
    }
    // Nor by a link, nor by another name, nor with more than there is room for.
    let link = format!(
        "GET /api/view HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        dashboard.token
    );
    assert_eq!(status(&ask(dashboard.at, link.as_bytes())), 405);
    assert_eq!(status(&get(dashboard.at, "/", "evil.example")), 421);
    assert_eq!(status(&ask(dashboard.at, b"PUT / HTTP/1.1\r\nHost: localhost\r\n\r\n")), 405);
    for path in ["/page.js", "/../etc/passwd", "/%2e%2e/", "//", "/api", "/api/", "/api/../view"] {
        let answer = dashboard.post(path, &dashboard.token, "{}");
        assert_eq!(status(&answer), 404, "{path}: {answer}");
    }
    let answer = dashboard.post("/api/methods", &dashboard.token, &"x".repeat((1 << 20) + 1));
    assert!([0, 413].contains(&status(&answer)), "{answer}");
    let view = dashboard.document("view", &json!({}));
    assert_eq!((&view["runtime"]["pools"], &view["seconds"].is_f64()), (&2.into(), &true));
}

/// It is read-only unless it is told otherwise; and what is posted is never taken for an option of the program.
#[test]
fn methods_are_called_only_if_that_is_allowed() {
    let daemon = daemon();
    let put = json!({ "pool": "store", "method": "kPut", "fields": { "key": "a", "value": "b" } });
    let calls = || {
        let metrics = daemon.cli(&["metrics"]).ok().stdout;
        metrics.lines().any(|line| {
            line.starts_with("chimaera_calls_total{pool=\"store\"") && line.contains("\"kPut\"}")
        })
    };
    let reads = Dashboard::start(daemon.site(), &[]);
    let refused = reads.document("call", &put);
    assert_eq!(refused["status"], "CHI_DENIED", "{refused}");
    assert!(!calls());
    let methods = reads.document("methods", &json!({ "pool": "store" }));
    assert_eq!(methods["methods"][0]["name"], "kPut", "{methods}");
    let unknown = reads.document("methods", &json!({ "pool": "--help" }));
    assert_eq!(unknown["status"], "CHI_NO_POOL", "{unknown}");
    let long = reads.document("methods", &json!({ "pool": "x".repeat(200 << 10) }));
    assert_eq!(long["status"], "CHI_INVALID");

    let dashboard = Dashboard::start(daemon.site(), &["--allow-calls"]);
    let done = dashboard.document("call", &put);
    assert_eq!((&done["status"], &done["results"]), (&"CHI_OK".into(), &json!({ "replaced": 0 })));
    assert!(calls());
    let get = |pool: &str, fields: Value| {
        dashboard.document("call", &json!({ "pool": pool, "method": "kGet", "fields": fields }))
    };
    assert_eq!(get("store", json!({ "key": "a" }))["results"], json!({ "value": "b" }));
    // A browser would round it.
    let stats = json!({ "pool": "store", "method": "kStats", "fields": {} });
    let stats = dashboard.document("call", &stats);
    let text = stats["results_text"].as_str().unwrap();
    assert!(text.contains("\"max_bytes\": 18446744073709551615"), "{text}");
    for (pool, fields, wanted) in [
        ("store", json!({ "key": "none" }), "CHI_NOT_FOUND"),
        ("store", json!({}), "CHI_INVALID"),
        ("store", json!({ "key": "a", "--out": "value=/tmp/of-a-page" }), "CHI_INVALID"),
        ("store", json!({ "key=a": "" }), "CHI_INVALID"),
        ("store", json!({ "": "" }), "CHI_INVALID"),
        ("store", json!({ "key": "a\0" }), "CHI_INVALID"),
        ("store", json!({ "key": "x".repeat(200 << 10) }), "CHI_INVALID"),
        ("--version", json!({}), "CHI_NO_POOL"),
        ("nobody", json!({}), "CHI_NO_POOL"),
    ] {
        let answer = get(pool, fields);
        assert_eq!(answer["status"], wanted, "{answer}");
    }
    assert!(!Path::new("/tmp/of-a-page").exists());
    let bad = dashboard.document("call", &json!({ "pool": 7 }));
    assert_eq!(bad["status"], "CHI_INVALID", "{bad}");
}

/// The page is of use when the runtime is not.
#[test]
fn a_runtime_that_is_not_running_is_told() {
    let site = Site::new();
    let mut dashboard = Dashboard::start(&site, &[]);
    let answer = dashboard.document("view", &json!({}));
    assert_eq!(answer["status"], "CHI_UNAVAILABLE");
    assert!(answer["error"].as_str().unwrap().contains("is not running"), "{answer}");
    assert_eq!(dashboard.document("config", &json!({}))["status"], "CHI_OK");
    // Whoever wants the same address is told.
    let second = ["dashboard", "--listen", &dashboard.at.to_string()];
    let second = site.cli(&second);
    assert!(second.code == 1 && second.stderr.contains("cannot listen at"), "{second:?}");
    assert_eq!(site.cli(&["dashboard", "--token", "short"]).code, 2);
    dashboard.process.signal(rustix::process::Signal::INT);
    assert_eq!(dashboard.process.end(), -2);
}

// In a browser ----------------------------------------------------------------------------------------

/// A driver of a browser; both end with this value.
struct Driver {
    process: Child,
    at: String,
}

impl Driver {
    /// Starts Chromium's, if this machine has it.
    fn start() -> Option<Driver> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // With its browsers, which end with it.
            .process_group(0)
            .spawn();
        let Ok(process) = process else {
            eprintln!("skipped: there is no chromedriver (Debian's chromium-driver)");
            return None;
        };
        Some(Driver { process, at: format!("http://127.0.0.1:{port}") })
    }

    async fn browse(&self) -> Client {
        let options = json!({ "goog:chromeOptions": {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900"],
        }});
        let Value::Object(options) = options else { unreachable!() };
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(options.clone()).connect(&self.at).await {
                Ok(client) => return client,
                Err(error) if Instant::now() > until => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

/// What the page has at this place, once it is as wanted.
async fn text(page: &Client, css: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    let mut last = String::new();
    while Instant::now() < until {
        if let Ok(found) = page.find(Locator::Css(css)).await {
            last = found.text().await.unwrap_or_default();
            if is_wanted(&last) {
                return last;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{css} is {last:?}");
}

async fn click(page: &Client, css: &str) {
    page.wait().for_element(Locator::Css(css)).await.expect(css).click().await.expect(css);
}

async fn fill(page: &Client, css: &str, text: &str) {
    let field = page.find(Locator::Css(css)).await.expect(css);
    field.clear().await.unwrap();
    field.send_keys(text).await.unwrap();
}

/// A person looks at a number that moves, calls a method, and sees an error.
#[test]
fn a_person_sees_and_calls_in_a_browser() {
    let Some(driver) = Driver::start() else { return };
    let site = Site::new();
    // Where a daemon has it, which is found without the runtime.
    let config = format!("log: {{file: {}}}\n", site.socket().with_extension("log").display());
    std::fs::create_dir_all(site.socket().parent().unwrap()).unwrap();
    std::fs::set_permissions(site.socket().parent().unwrap(), PermissionsExt::from_mode(0o700))
        .unwrap();
    let mut daemon = Daemon::start_at(site, &Options::new().kv().config(config));
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    let dashboard = Dashboard::start(daemon.site(), &["--allow-calls"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let page = driver.browse().await;
        page.goto(&dashboard.url).await.unwrap();
        text(&page, "#instance", |text| text == format!("'{}'", daemon.site().name())).await;
        text(&page, "[data-tile=\"pools\"]", |text| text == "2").await;
        text(&page, "[data-tile=\"calls/s\"]", |text| text == "0").await;
        assert_eq!(page.find_all(Locator::Css("#plots canvas")).await.unwrap().len(), 3);
        // A load whose number is known.
        let mut load = daemon.site().command(artefacts::chimaera());
        load.args(["--name", daemon.site().name(), "call", "store", "put", "key=a", "value=b"]);
        let mut load = Running::start(load.args(["--repeat", "1000000000"]));
        text(&page, "[data-tile=\"calls/s\"]", |text| text != "0" && !text.is_empty()).await;
        text(&page, "[data-tile=\"sessions\"]", |text| text == "1").await;
        // By keyboard: to the next view.
        click(&page, "#tab-overview").await;
        let tab = page.find(Locator::Css("#tab-overview")).await.unwrap();
        tab.send_keys(&char::from(Key::Right).to_string()).await.unwrap();
        text(&page, "#methods tbody tr:first-child td:nth-child(2)", |text| text == "kPut").await;
        let focused = page.active_element().await.unwrap();
        assert_eq!(focused.attr("id").await.unwrap().as_deref(), Some("tab-methods"));
        load.signal(rustix::process::Signal::INT);
        load.end();

        click(&page, "#tab-pools").await;
        click(&page, "[data-pool=\"store\"]").await;
        page.wait().for_element(Locator::Css("#field-key")).await.unwrap();
        fill(&page, "#field-key", "colour").await;
        fill(&page, "#field-value", "<b>blue</b>").await;
        click(&page, "form button[type=submit]").await;
        text(&page, "#result", |text| text.starts_with("CHI_OK in ")).await;
        page.find(Locator::Css("#method")).await.unwrap().select_by_value("kGet").await.unwrap();
        fill(&page, "#field-key", "colour").await;
        click(&page, "form button[type=submit]").await;
        // Markup in a value is text.
        text(&page, "#result", |text| text.contains("\"value\": \"<b>blue</b>\"")).await;
        assert!(page.find(Locator::Css("#result b")).await.is_err());
        fill(&page, "#field-key", "of nobody").await;
        click(&page, "form button[type=submit]").await;
        text(&page, "#result.bad", |text| text.contains("CHI_NOT_FOUND")).await;

        click(&page, "#tab-configuration").await;
        text(&page, "#values", |text| text.contains("stop_grace")).await;
        let theme = "return document.documentElement.dataset.theme";
        let before = page.execute(theme, Vec::new()).await.unwrap();
        click(&page, "#theme").await;
        assert_ne!(page.execute(theme, Vec::new()).await.unwrap(), before);
        // A window as narrow as a phone scrolls tables, and not the page.
        page.set_window_size(400, 800).await.unwrap();
        let wide =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        for tab in ["#tab-methods", "#tab-pools", "#tab-overview", "#tab-configuration"] {
            click(&page, tab).await;
            let more = page.execute(wide, Vec::new()).await.unwrap();
            assert!(more.as_i64().unwrap() <= 0, "{tab}: {more} pixels too wide");
        }
        // A pool that is gone is told as such, where it was shown.
        click(&page, "#tab-pools").await;
        daemon.cli(&["pool", "destroy", "store"]).ok();
        text(&page, "#pool", |text| text == "The pool 'store' that was shown is gone.").await;
        // What goes wrong is said, and the log goes on.
        click(&page, "#tab-log").await;
        text(&page, "#lines", |text| text.contains("pool destroyed")).await;
        daemon.cli(&["stop"]).ok();
        text(&page, "#state.bad", |text| text.contains("is not running")).await;
        text(&page, "#lines", |text| text.trim_end().ends_with("stopped")).await;
        click(&page, "#tab-tasks").await;
        text(&page, "#current", |text| text == "unknown").await;
        page.close().await.unwrap();
    });
    assert_eq!(daemon.end(), 0);
}

/// A page without its token says so.
#[test]
fn a_page_without_the_token_says_so() {
    let Some(driver) = Driver::start() else { return };
    let daemon = daemon();
    let dashboard = Dashboard::start(daemon.site(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let page = driver.browse().await;
        page.goto(&format!("http://{}/", dashboard.at)).await.unwrap();
        text(&page, "#state.bad", |text| text.contains("the token of the URL is missing")).await;
        // In the same tab, only the fragment changes.
        page.goto(&dashboard.url).await.unwrap();
        text(&page, "[data-tile=\"pools\"]", |text| text == "2").await;
        click(&page, "#tab-pools").await;
        click(&page, "[data-pool=\"store\"]").await;
        let button =
            page.wait().for_element(Locator::Css("form button[type=submit]")).await.unwrap();
        assert!(!button.is_enabled().await.unwrap(), "it is read-only");
        page.close().await.unwrap();
    });
}
