//! The tables of `top`: their columns, how their rows are sorted and filtered, and how they are shown.

use std::cmp::Ordering;

use chimaera_metrics::Node;

use super::view::{DeviceRow, MethodRow, SessionRow, View, WorkerRow};
use crate::number::{age, bytes, duration};

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Methods,
    Sessions,
    Workers,
    Devices,
    Nodes,
}

impl Kind {
    pub(super) const ALL: [Kind; 5] =
        [Kind::Methods, Kind::Sessions, Kind::Workers, Kind::Devices, Kind::Nodes];

    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Methods => "Methods",
            Kind::Sessions => "Sessions",
            Kind::Workers => "Workers",
            Kind::Devices => "Devices",
            Kind::Nodes => "Nodes",
        }
    }

    /// The heads of its columns.
    pub(super) fn heads(self) -> Vec<&'static str> {
        match self {
            Kind::Methods => METHODS.iter().map(|column| column.head).collect(),
            Kind::Sessions => SESSIONS.iter().map(|column| column.head).collect(),
            Kind::Workers => WORKERS.iter().map(|column| column.head).collect(),
            Kind::Devices => DEVICES.iter().map(|column| column.head).collect(),
            Kind::Nodes => NODES.iter().map(|column| column.head).collect(),
        }
    }

    /// By which column it is sorted at first.
    pub(super) fn first_sort(self) -> Sort {
        let (column, ascending) = match self {
            Kind::Methods => (2, false),
            Kind::Sessions => (5, false),
            Kind::Workers | Kind::Devices | Kind::Nodes => (0, true),
        };
        Sort { column, ascending }
    }
}

/// By which column rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) ascending: bool,
}

/// A value by which rows are sorted.
enum By {
    Number(f64),
    Text(String),
}

/// A column: its head, how it is shown, and what it is sorted by.
struct Column<R> {
    head: &'static str,
    show: fn(&R) -> String,
    by: fn(&R) -> By,
}

const fn column<R>(head: &'static str, show: fn(&R) -> String, by: fn(&R) -> By) -> Column<R> {
    Column { head, show, by }
}

fn time(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), duration)
}

fn by_time(ns: Option<u64>) -> By {
    By::Number(ns.map_or(-1.0, |ns| ns as f64))
}

/// A rate: `0`, `0.25`, `17`, `12.3 k`, `1.20 M`.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        ..9.995 => format!("{rate:.2}"),
        ..999.5 => format!("{rate:.0}"),
        ..99_950.0 => format!("{:.1} k", rate / 1e3),
        ..999_500.0 => format!("{:.0} k", rate / 1e3),
        _ => format!("{:.2} M", rate / 1e6),
    }
}

fn byte_rate(rate: f64) -> String {
    bytes(rate as u64)
}

const METHODS: [Column<MethodRow>; 13] = [
    column("POOL", |row| row.pool.clone(), |row| By::Text(row.pool.clone())),
    column("METHOD", |row| row.method.clone(), |row| By::Text(row.method.clone())),
    column("CALLS/S", |row| rate(row.calls_per_s), |row| By::Number(row.calls_per_s)),
    column("FAILED/S", |row| rate(row.failures_per_s), |row| By::Number(row.failures_per_s)),
    column("P50", |row| time(row.p50_ns), |row| by_time(row.p50_ns)),
    column("P99", |row| time(row.p99_ns), |row| by_time(row.p99_ns)),
    column("MAX", |row| time(row.max_ns), |row| by_time(row.max_ns)),
    column("QUEUED", |row| row.queued.to_string(), |row| By::Number(row.queued as f64)),
    column("RUNNING", |row| row.running.to_string(), |row| By::Number(row.running as f64)),
    column("SUSPENDED", |row| row.suspended.to_string(), |row| By::Number(row.suspended as f64)),
    column("IN/S", |row| byte_rate(row.bytes_in_per_s), |row| By::Number(row.bytes_in_per_s)),
    column("OUT/S", |row| byte_rate(row.bytes_out_per_s), |row| By::Number(row.bytes_out_per_s)),
    column("CALLS", |row| row.calls.to_string(), |row| By::Number(row.calls as f64)),
];

const SESSIONS: [Column<SessionRow>; 11] = [
    column("SESSION", |row| row.session.to_string(), |row| By::Number(row.session as f64)),
    column("PID", |row| row.pid.to_string(), |row| By::Number(row.pid.into())),
    column("USER", |row| row.uid.to_string(), |row| By::Number(row.uid.into())),
    column("AGE", |row| age(row.age_ms / 1000), |row| By::Number(row.age_ms as f64)),
    column("IN FLIGHT", |row| row.in_flight.to_string(), |row| By::Number(row.in_flight as f64)),
    column("CALLS/S", |row| rate(row.calls_per_s), |row| By::Number(row.calls_per_s)),
    column("FAILED/S", |row| rate(row.failures_per_s), |row| By::Number(row.failures_per_s)),
    column("IN/S", |row| byte_rate(row.bytes_in_per_s), |row| By::Number(row.bytes_in_per_s)),
    column("OUT/S", |row| byte_rate(row.bytes_out_per_s), |row| By::Number(row.bytes_out_per_s)),
    column("SEGMENT", |row| bytes(row.segment_bytes), |row| By::Number(row.segment_bytes as f64)),
    column(
        "THROTTLED",
        |row| throttled(row).to_owned(),
        |row| By::Number(f64::from(u8::from(row.throttled))),
    ),
];

fn throttled(row: &SessionRow) -> &'static str {
    if row.throttled {
        "yes"
    } else {
        "no"
    }
}

const WORKERS: [Column<WorkerRow>; 8] = [
    column("WORKER", |row| row.worker.to_string(), |row| By::Number(row.worker as f64)),
    column("GROUP", group, |row| By::Text(group(row))),
    column("BUSY", |row| format!("{:.0} %", row.busy * 100.0), |row| By::Number(row.busy)),
    column("CALLS/S", |row| rate(row.calls_per_s), |row| By::Number(row.calls_per_s)),
    column("FAILED/S", |row| rate(row.failures_per_s), |row| By::Number(row.failures_per_s)),
    column("SUSPENDED", |row| row.suspended.to_string(), |row| By::Number(row.suspended as f64)),
    column("SLEEPS/S", |row| rate(row.parks_per_s), |row| By::Number(row.parks_per_s)),
    column("RUNNING", running, |row| By::Text(running(row))),
];

const DEVICES: [Column<DeviceRow>; 11] = [
    column("DEVICE", |row| row.pool.clone(), |row| By::Text(row.pool.clone())),
    column("READS/S", |row| rate(row.reads_per_s), |row| By::Number(row.reads_per_s)),
    column("READ/S", |row| byte_rate(row.read_bytes_per_s), |row| By::Number(row.read_bytes_per_s)),
    column("READ P99", |row| time(row.read_p99_ns), |row| by_time(row.read_p99_ns)),
    column("WRITES/S", |row| rate(row.writes_per_s), |row| By::Number(row.writes_per_s)),
    column(
        "WRITTEN/S",
        |row| byte_rate(row.written_bytes_per_s),
        |row| By::Number(row.written_bytes_per_s),
    ),
    column("WRITE P99", |row| time(row.write_p99_ns), |row| by_time(row.write_p99_ns)),
    column("FLUSHES/S", |row| rate(row.flushes_per_s), |row| By::Number(row.flushes_per_s)),
    column("FLUSH P99", |row| time(row.flush_p99_ns), |row| by_time(row.flush_p99_ns)),
    column("FAILED/S", |row| rate(row.failures_per_s), |row| By::Number(row.failures_per_s)),
    column("IN FLIGHT", |row| row.in_flight.to_string(), |row| By::Number(row.in_flight as f64)),
];

const NODES: [Column<Node>; 7] = [
    column("NODE", |row| row.name.clone(), |row| By::Text(row.name.clone())),
    column("ADDRESS", |row| row.address.clone(), |row| By::Text(row.address.clone())),
    column("STANDING", |row| row.standing.clone(), |row| By::Text(row.standing.clone())),
    column("PART", part, |row| By::Text(part(row))),
    column("CONTAINERS", |row| row.containers.to_string(), |row| By::Number(row.containers as f64)),
    column("ROUND TRIP", |row| time(round_trip(row)), |row| by_time(round_trip(row))),
    column("HEARD", heard, |row| By::Number(row.last_byte_ms.map_or(-1.0, |ms| ms as f64))),
];

fn round_trip(row: &Node) -> Option<u64> {
    row.round_trip_us.map(|us| us.saturating_mul(1000))
}

/// What a node does for the agreement of the cluster.
fn part(row: &Node) -> String {
    match (row.leads, row.voter) {
        (true, _) => "leads",
        (false, true) => "votes",
        (false, false) => "follows",
    }
    .to_owned()
}

fn heard(row: &Node) -> String {
    match row.last_byte_ms {
        _ if row.own => "this node".to_owned(),
        Some(ms) if row.connected_ms.is_some() => {
            format!("{} ago", duration(ms.saturating_mul(1_000_000)))
        }
        _ => "not connected".to_owned(),
    }
}

fn group(row: &WorkerRow) -> String {
    let group = if row.group == "high_latency" { "high latency" } else { "low latency" };
    match &row.standby {
        Some(standby) => format!("stand-by, {standby}"),
        None => group.to_owned(),
    }
}

pub(super) fn running(row: &WorkerRow) -> String {
    let Some(running) = &row.running else { return String::new() };
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
    let took = duration(running.age_ms.saturating_mul(1_000_000));
    let of = running.session.map_or_else(String::new, |session| format!(", session {session}"));
    format!("{} of {} for {took}{of}", name(&running.method), name(&running.pool))
}

/// The cells of a table's rows, sorted, those without the filter's text left out.
pub(super) fn rows(view: &View, kind: Kind, sort: Sort, filter: &str) -> Vec<Vec<String>> {
    match kind {
        Kind::Methods => cells(&view.methods, &METHODS, sort, filter),
        Kind::Sessions => cells(&view.sessions, &SESSIONS, sort, filter),
        Kind::Workers => cells(&view.workers, &WORKERS, sort, filter),
        Kind::Devices => cells(&view.devices, &DEVICES, sort, filter),
        Kind::Nodes => cells(&view.nodes, &NODES, sort, filter),
    }
}

fn cells<R>(rows: &[R], columns: &[Column<R>], sort: Sort, filter: &str) -> Vec<Vec<String>> {
    let filter = filter.to_lowercase();
    let shown = |row: &R| columns.iter().map(|column| (column.show)(row)).collect::<Vec<String>>();
    let mut rows: Vec<(&R, Vec<String>)> = rows.iter().map(|row| (row, shown(row))).collect();
    rows.retain(|(_, cells)| cells.iter().any(|cell| cell.to_lowercase().contains(&filter)));
    let by = columns[sort.column.min(columns.len() - 1)].by;
    // Equal rows stay in their order.
    rows.sort_by(|(one, _), (other, _)| {
        let order = match (by(one), by(other)) {
            (By::Number(one), By::Number(other)) => one.total_cmp(&other),
            (By::Text(one), By::Text(other)) => one.cmp(&other),
            _ => Ordering::Equal,
        };
        if sort.ascending {
            order
        } else {
            order.reverse()
        }
    });
    rows.into_iter().map(|(_, cells)| cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let method = |pool: &str, method: &str, calls_per_s, p99_ns| MethodRow {
            pool: pool.to_owned(),
            method: method.to_owned(),
            calls_per_s,
            p99_ns,
            ..MethodRow::default()
        };
        let methods = vec![
            method("a", "kPut", 10.0, None),
            method("b", "kGet", 2.5, Some(2_500_000)),
            method("a", "kGet", 1_200_000.0, Some(900)),
        ];
        View { methods, ..View::default() }
    }

    #[test]
    fn rows_are_sorted_and_filtered() {
        let names = |sort, filter: &str| -> Vec<String> {
            let rows = rows(&view(), Kind::Methods, sort, filter);
            rows.iter().map(|row| format!("{} {} {} {}", row[0], row[1], row[2], row[5])).collect()
        };
        let first = Kind::Methods.first_sort();
        assert_eq!(
            names(first, ""),
            ["a kGet 1.20 M 900 ns", "a kPut 10 -", "b kGet 2.50 2.50 ms"]
        );
        let by_p99 = Sort { column: 5, ascending: false };
        assert_eq!(names(by_p99, "GET"), ["b kGet 2.50 2.50 ms", "a kGet 1.20 M 900 ns"]);
        let by_pool = Sort { column: 0, ascending: true };
        assert_eq!(names(by_pool, "a").len(), 2);
        assert!(names(Sort { column: 99, ascending: true }, "nothing").is_empty());
    }

    #[test]
    fn every_table_has_a_cell_for_each_head() {
        let view = View {
            sessions: vec![SessionRow::default()],
            workers: vec![WorkerRow::default()],
            devices: vec![DeviceRow::default()],
            nodes: vec![Node::default()],
            ..view()
        };
        for kind in Kind::ALL {
            let rows = rows(&view, kind, kind.first_sort(), "");
            assert!(!rows.is_empty() && rows.iter().all(|row| row.len() == kind.heads().len()));
        }
    }

    #[test]
    fn rates_have_three_digits() {
        let shown = [0.0, 0.25, 9.99, 10.0, 999.0, 12_345.0, 123_456.0, 2_500_000.0].map(rate);
        assert_eq!(shown, ["0", "0.25", "9.99", "10", "999", "12.3 k", "123 k", "2.50 M"]);
    }
}
