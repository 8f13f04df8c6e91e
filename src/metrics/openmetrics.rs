//! Metrics as text, in the format that Prometheus and others read: OpenMetrics 1.0,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::fmt::{Display, Write};

use crate::latency::Latency;
use crate::snapshot::{Method, Node, Pool, Snapshot};

/// The media type of what [`openmetrics`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of the buckets of histograms, in nanoseconds: three for each power of ten.
const BOUNDS_NS: [u64; 25] = [
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
];

/// Text in the making.
#[derive(Default)]
struct Text(String);

/// Writes the samples of a family that are about one method, which has these labels.
type Each = dyn Fn(&mut Text, &str, &[Label<'_>], &Method);

/// A label of a sample, and its value.
type Label<'a> = (&'a str, &'a str);

impl Text {
    /// Begins a family of metrics.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# TYPE {name} {kind}"));
        let units = ["seconds", "bytes"];
        if let Some(unit) = units.into_iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self.line(format_args!("# HELP {name} {help}"));
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, value)) in labels.iter().enumerate() {
            self.0.push(if number == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    /// A family of one sample.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        let suffix = if kind == "counter" { "_total" } else { "" };
        self.sample(&format!("{name}{suffix}"), &[], value);
    }

    fn histogram(&mut self, name: &str, labels: &[Label<'_>], latency: &Latency) {
        let bucket = format!("{name}_bucket");
        let with = |bound: &str, text: &mut Text, count: u64| {
            let labels: Vec<Label<'_>> = labels.iter().copied().chain([("le", bound)]).collect();
            text.sample(&bucket, &labels, count);
        };
        for bound in BOUNDS_NS {
            with(&seconds(bound), self, latency.up_to(bound));
        }
        with("+Inf", self, latency.count);
        self.sample(&format!("{name}_count"), labels, latency.count);
        self.sample(&format!("{name}_sum"), labels, seconds(latency.sum_ns));
    }
}

/// In seconds, exactly, and with a point: OpenMetrics compares bounds as text.
fn seconds(ns: u64) -> String {
    let text = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    let short = text.trim_end_matches('0');
    match short.ends_with('.') {
        true => format!("{short}0"),
        false => short.to_owned(),
    }
}

/// Appends the value of a label.
fn escape(value: &str, to: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            c => to.push(c),
        }
    }
}

/// The metrics as OpenMetrics text. `sessions` adds those of each session, whose labels are new for each client.
pub fn openmetrics(snapshot: &Snapshot, sessions: bool) -> String {
    let mut text = Text::default();
    methods(&mut text, snapshot);
    workers(&mut text, snapshot);
    runtime(&mut text, snapshot);
    nodes(&mut text, snapshot);
    if sessions {
        each_session(&mut text, snapshot);
    }
    text.line(format_args!("# EOF"));
    text.0
}

fn methods(text: &mut Text, snapshot: &Snapshot) {
    let all: Vec<(&Pool, &Method)> = snapshot
        .pools
        .iter()
        .flat_map(|pool| pool.methods.iter().map(move |it| (pool, it)))
        .collect();
    let labels = |(pool, method): &(&Pool, &Method)| {
        [pool.name.clone(), pool.module.clone(), method.name.clone()]
    };
    let mut family = |name: &str, kind, help, each: &Each| {
        text.family(name, kind, help);
        for one in &all {
            let [pool, module, method] = &labels(one);
            each(text, name, &[("pool", pool), ("module", module), ("method", method)], one.1);
        }
    };
    family("chimaera_calls", "counter", "Tasks that have ended.", &|text, name, labels, method| {
        text.sample(&format!("{name}_total"), labels, method.calls);
    });
    let help = "Tasks that have failed.";
    family("chimaera_failures", "counter", help, &|text, name, labels, method| {
        let known = method.statuses.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let others = method.failed.saturating_sub(known);
        let others = (others > 0).then_some(("other", others));
        // So that the first crash is an increase, and not the beginning of a series.
        let crashes = (!method.statuses.contains_key("CHI_FAULT")).then_some(("CHI_FAULT", 0));
        let known = method.statuses.iter().map(|(status, count)| (status.as_str(), *count));
        for (status, count) in known.chain(others).chain(crashes) {
            let labels: Vec<_> = labels.iter().copied().chain([("status", status)]).collect();
            text.sample(&format!("{name}_total"), &labels, count);
        }
    });
    family(
        "chimaera_tasks",
        "gauge",
        "Tasks that workers have accepted, and that have not ended.",
        &|text, name, labels, method| {
            let states = [
                ("queued", method.queued),
                ("running", method.running),
                ("suspended", method.suspended),
            ];
            for (state, count) in states {
                let labels: Vec<_> = labels.iter().copied().chain([("state", state)]).collect();
                text.sample(name, &labels, count);
            }
        },
    );
    let help = "Bytes of tasks that came from clients.";
    family("chimaera_received_bytes", "counter", help, &|text, name, labels, method| {
        text.sample(&format!("{name}_total"), labels, method.bytes_in);
    });
    let help = "Bytes of tasks that went back to clients.";
    family("chimaera_returned_bytes", "counter", help, &|text, name, labels, method| {
        text.sample(&format!("{name}_total"), labels, method.bytes_out);
    });
    let help = "How long tasks have taken in each stage, from a sample.";
    family("chimaera_stage_seconds", "histogram", help, &|text, name, labels, method| {
        for (stage, latency) in method.latency.each() {
            if latency.count > 0 {
                let labels: Vec<_> = labels.iter().copied().chain([("stage", stage)]).collect();
                text.histogram(name, &labels, latency);
            }
        }
    });
}

fn workers(text: &mut Text, snapshot: &Snapshot) {
    let all: Vec<_> = snapshot.workers.iter().enumerate().collect();
    let mut family = |name: &str, help, value: &dyn Fn(&crate::Worker) -> String| {
        text.family(name, "counter", help);
        for (number, worker) in &all {
            let number = number.to_string();
            let standby = if worker.standby.is_some() { "yes" } else { "no" };
            let labels = [
                ("worker", number.as_str()),
                ("group", worker.group.as_str()),
                ("standby", standby),
            ];
            text.sample(&format!("{name}_total"), &labels, value(worker));
        }
    };
    let help = "About how long workers have run tasks, from a sample.";
    family("chimaera_worker_busy_seconds", help, &|worker| seconds(worker.busy_ns));
    family("chimaera_worker_calls", "Tasks that workers have completed.", &|worker| {
        worker.calls.to_string()
    });
    family("chimaera_worker_parks", "How often workers have gone to sleep.", &|worker| {
        worker.parks.to_string()
    });
}

fn runtime(text: &mut Text, snapshot: &Snapshot) {
    text.family("chimaera_build", "info", "The version of Chimaera.");
    text.sample("chimaera_build_info", &[("version", &snapshot.version)], 1);
    let uptime = seconds(snapshot.uptime_ns);
    text.one(
        "chimaera_uptime_seconds",
        "gauge",
        "For how long the runtime has been running.",
        uptime,
    );
    text.one("chimaera_pools", "gauge", "Pools.", snapshot.pools.len());
    text.one("chimaera_sessions", "gauge", "Sessions that are connected.", snapshot.sessions.len());
    let throttled = snapshot.sessions.iter().filter(|session| session.throttled).count();
    let help = "Sessions that wait because of a limit.";
    text.one("chimaera_sessions_throttled", "gauge", help, throttled);
    let help = "Sessions that there have been.";
    text.one("chimaera_sessions_opened", "counter", help, snapshot.sessions_total);
    let budget = snapshot.memory.budget_bytes;
    text.one("chimaera_memory_budget_bytes", "gauge", "The size of the memory budget.", budget);
    text.family("chimaera_memory_used_bytes", "gauge", "How much of the memory budget is in use.");
    for (use_, bytes) in &snapshot.memory.uses {
        text.sample("chimaera_memory_used_bytes", &[("use", use_)], bytes);
    }
    let help = "Lines of the log that could not be written.";
    text.one("chimaera_log_lines_lost", "counter", help, snapshot.log_lost);
    let process = &snapshot.process;
    let cpu = seconds(process.cpu_ns);
    text.one("process_cpu_seconds", "counter", "Processor time of the process.", cpu);
    let resident = process.resident_bytes;
    text.one("process_resident_memory_bytes", "gauge", "Resident memory of the process.", resident);
    let started = process.started_s;
    text.one(
        "process_start_time_seconds",
        "gauge",
        "When the process started, since 1970.",
        started,
    );
    text.one("process_open_fds", "gauge", "Open descriptors of the process.", process.descriptors);
    let limit = process.descriptors_limit;
    text.one("process_max_fds", "gauge", "The limit on open descriptors of the process.", limit);
}

fn nodes(text: &mut Text, snapshot: &Snapshot) {
    if snapshot.nodes.is_empty() {
        return;
    }
    let mut family = |name: &str, help, value: &dyn Fn(&Node) -> Option<String>| {
        text.family(name, "gauge", help);
        for node in &snapshot.nodes {
            if let Some(value) = value(node) {
                text.sample(name, &[("node", &*node.name)], value);
            }
        }
    };
    let is = |is: bool| Some(u8::from(is).to_string());
    let help = "Whether the node is a member of the cluster, in the view of this one.";
    family("chimaera_node_member", help, &|node| is(node.standing == "member"));
    let help = "Whether this node is connected to it; to itself it is.";
    family("chimaera_node_connected", help, &|node| is(node.own || node.connected_ms.is_some()));
    let help = "Whether the node leads the cluster.";
    family("chimaera_node_leads", help, &|node| is(node.leads));
    let help = "Containers of the cluster's pools on the node.";
    family("chimaera_node_containers", help, &|node| Some(node.containers.to_string()));
    let help = "How long a message to the node and back takes.";
    family("chimaera_node_round_trip_seconds", help, &|node| {
        node.round_trip_us.map(|us| seconds(us.saturating_mul(1000)))
    });
}

fn each_session(text: &mut Text, snapshot: &Snapshot) {
    let mut family = |name: &str, kind, help, value: &dyn Fn(&crate::Session) -> u64| {
        text.family(name, kind, help);
        let suffix = if kind == "counter" { "_total" } else { "" };
        for session in &snapshot.sessions {
            let [number, pid, uid] =
                [session.session.to_string(), session.pid.to_string(), session.uid.to_string()];
            let labels = [("session", &*number), ("pid", &*pid), ("uid", &*uid)];
            text.sample(&format!("{name}{suffix}"), &labels, value(session));
        }
    };
    let help = "Tasks of the session that have ended.";
    family("chimaera_session_calls", "counter", help, &|session| session.calls);
    let help = "Tasks of the session that have failed.";
    family("chimaera_session_failures", "counter", help, &|session| session.failed);
    let help = "Tasks of the session that workers have accepted, and that have not ended.";
    family("chimaera_session_tasks", "gauge", help, &|session| session.in_flight);
    let help = "Bytes of tasks that came from the session.";
    family("chimaera_session_received_bytes", "counter", help, &|session| session.bytes_in);
    let help = "Bytes of tasks that went back to the session.";
    family("chimaera_session_returned_bytes", "counter", help, &|session| session.bytes_out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Stages;

    #[test]
    fn seconds_are_exact() {
        let shown = [0, 1, 200, 1_000_000_000, 20_500_000_000].map(seconds);
        assert_eq!(shown, ["0.0", "0.000000001", "0.0000002", "1.0", "20.5"]);
    }

    #[test]
    fn names_cannot_break_out_of_their_label() {
        let method = Method { name: "kPut".to_owned(), calls: 3, ..Method::default() };
        let name = "a\"} 9\n\\b".to_owned();
        let pool = Pool { name, methods: vec![method], ..Pool::default() };
        let text = openmetrics(&Snapshot { pools: vec![pool], ..Snapshot::default() }, true);
        let line =
            "chimaera_calls_total{pool=\"a\\\"} 9\\n\\\\b\",module=\"\",method=\"kPut\"} 3\n";
        assert!(text.contains(line), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn failures_without_a_known_status_are_not_lost() {
        let statuses = [("CHI_FAILED".to_owned(), 2), ("1000".to_owned(), 1)].into();
        let method = Method { failed: 5, statuses, ..Method::default() };
        let pool = Pool { methods: vec![method], ..Pool::default() };
        let text = openmetrics(&Snapshot { pools: vec![pool], ..Snapshot::default() }, false);
        for (status, count) in [("CHI_FAILED", 2), ("1000", 1), ("other", 2)] {
            let end = format!("status=\"{status}\"}} {count}\n");
            assert!(text.contains(&end), "{text}");
        }
    }

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let total =
            Latency::new(3_000_000_000, vec![(1000, 1024, 2), (2_900_000_000, 3_000_000_000, 1)]);
        let latency = Stages { total, ..Stages::default() };
        let pool =
            Pool { methods: vec![Method { latency, ..Method::default() }], ..Pool::default() };
        let text = openmetrics(&Snapshot { pools: vec![pool], ..Snapshot::default() }, false);
        let count = |bound: &str| {
            let found = text.lines().find(|line| line.contains(&format!("le=\"{bound}\"")));
            found.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
        };
        let counts = ["0.000001", "0.000002", "2.0", "5.0", "+Inf"].map(count);
        assert_eq!(counts, ["0", "2", "2", "3", "3"].map(|count| Some(count.to_owned())));
        assert!(text.contains(
            "chimaera_stage_seconds_sum{pool=\"\",module=\"\",method=\"\",stage=\"total\"} 3.0\n"
        ));
    }
}
