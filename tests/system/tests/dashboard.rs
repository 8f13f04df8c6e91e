//! `chimaera dashboard`: the page in a browser, and what others can make its server do.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chimaera_tests::browser::{self, Browser};
use chimaera_tests::http::{ask, get, status};
use chimaera_tests::process::Running;
use chimaera_tests::{artefacts, Daemon, Options, Site};
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

/// A person looks at a number that moves, calls a method, and sees an error.
#[test]
fn a_person_sees_and_calls_in_a_browser() {
    let Some(page) = Browser::start() else { return };
    let site = Site::new();
    // Where a daemon has it, which is found without the runtime.
    let config = format!("log: {{file: {}}}\n", site.socket().with_extension("log").display());
    std::fs::create_dir_all(site.socket().parent().unwrap()).unwrap();
    let own = PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(site.socket().parent().unwrap(), own).unwrap();
    let mut daemon = Daemon::start_at(site, &Options::new().kv().config(config));
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    let dashboard = Dashboard::start(daemon.site(), &["--allow-calls"]);
    page.open(&dashboard.url);
    page.until("#instance", |text| text == format!("'{}'", daemon.site().name()));
    page.until("[data-tile=\"pools\"]", |text| text == "2");
    page.until("[data-tile=\"calls/s\"]", |text| text == "0");
    assert_eq!(page.run("return document.querySelectorAll('#plots canvas').length"), 3);
    // A load.
    let mut load = daemon.site().command(artefacts::chimaera());
    load.args(["--name", daemon.site().name(), "call", "store", "put", "key=a", "value=b"]);
    let mut load = Running::start(load.args(["--repeat", "1000000000"]));
    page.until("[data-tile=\"calls/s\"]", |text| text != "0" && !text.is_empty());
    page.until("[data-tile=\"sessions\"]", |text| text == "1");
    // By keyboard: to the next view.
    page.click("#tab-overview");
    page.press("#tab-overview", browser::RIGHT);
    page.until("#methods tbody tr:first-child td:nth-child(2)", |text| text == "kPut");
    assert_eq!(page.run("return document.activeElement.id"), "tab-methods");
    load.signal(rustix::process::Signal::INT);
    load.end();

    page.click("#tab-pools");
    page.click("[data-pool=\"store\"]");
    page.fill("#field-key", "colour");
    page.fill("#field-value", "<b>blue</b>");
    page.click("form button[type=submit]");
    page.until("#result", |text| text.starts_with("CHI_OK in "));
    page.click("#method option[value=kGet]");
    page.fill("#field-key", "colour");
    page.click("form button[type=submit]");
    // Markup in a value is text.
    page.until("#result", |text| text.contains("\"value\": \"<b>blue</b>\""));
    assert_eq!(page.run("return document.querySelectorAll('#result b').length"), 0);
    page.fill("#field-key", "of nobody");
    page.click("form button[type=submit]");
    page.until("#result.bad", |text| text.contains("CHI_NOT_FOUND"));

    page.click("#tab-configuration");
    page.until("#values", |text| text.contains("stop_grace"));
    let theme = || page.run("return document.documentElement.dataset.theme");
    let before = theme();
    page.click("#theme");
    assert_ne!(theme(), before);
    // A window as narrow as a phone scrolls tables, and not the page.
    page.resize(400, 800);
    for tab in ["#tab-methods", "#tab-pools", "#tab-overview", "#tab-configuration"] {
        page.click(tab);
        let more = page.run(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
        );
        assert!(more.as_i64().unwrap() <= 0, "{tab}: {more} pixels too wide");
    }
    // A pool that is gone is told as such, where it was shown.
    page.click("#tab-pools");
    daemon.cli(&["pool", "destroy", "store"]).ok();
    page.until("#pool", |text| text == "The pool 'store' that was shown is gone.");
    // What goes wrong is said, and the log goes on.
    page.click("#tab-log");
    page.until("#lines", |text| text.contains("pool destroyed"));
    daemon.cli(&["stop"]).ok();
    page.until("#state.bad", |text| text.contains("is not running"));
    page.until("#lines", |text| text.trim_end().ends_with("stopped"));
    page.click("#tab-tasks");
    page.until("#current", |text| text == "unknown");
    assert_eq!(daemon.end(), 0);
}

/// A page without its token says so.
#[test]
fn a_page_without_the_token_says_so() {
    let Some(page) = Browser::start() else { return };
    let daemon = daemon();
    let dashboard = Dashboard::start(daemon.site(), &[]);
    page.open(&format!("http://{}/", dashboard.at));
    page.until("#state.bad", |text| text.contains("the token of the URL is missing"));
    // In the same tab, only the fragment changes.
    page.open(&dashboard.url);
    page.until("[data-tile=\"pools\"]", |text| text == "2");
    page.click("#tab-pools");
    page.click("[data-pool=\"store\"]");
    // It is read-only.
    page.until("form p.actions", |text| text.contains("This page is read-only"));
    assert_eq!(page.run("return document.querySelector('form button').disabled"), true);
}
