//! `chimaera bench remote`.

use std::time::Duration;

use chimaera::DomainQuery;
use chimaera_config::{parse_size, show_size};
use chimaera_kv_client::{self as kv, Client, GetTask, Method, Params, PutTask};
use serde_json::{json, Map, Value};

use super::busy::Busy;
use super::pair::Pair;
use super::setup::{allowed_cores, progress, Modules};
use super::task::{no_pool, Pool, RUST};
use super::tcp::{Exchange, Tcp, TcpRelay};
use super::times::{self, Kind, WARM_UP};
use crate::context::{Context, Failed, Outcome};
use crate::number::number;

/// The key of the value that is put and gotten.
const KEY: &str = "value";
/// About how many bytes of values go each way in a round.
const ROUND_BYTES: u64 = 16 << 20;
/// The most values of one size that do.
const MOST_VALUES: u64 = 16;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of rounds; the kinds alternate in each
    #[arg(long, default_value_t = 10, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Tasks of each kind in a round
    #[arg(long, default_value_t = 2000, value_parser = number::<u32>(1000..=u32::MAX))]
    count: u32,
    /// Size of a value that is put and gotten, such as 1MiB; can be repeated
    #[arg(long = "size", value_name = "SIZE", default_values = ["1MiB", "64MiB"], value_parser = parse_size)]
    sizes: Vec<u64>,
    #[command(flatten)]
    modules: Modules,
}

/// Values of one size, which go to the other node and come back.
struct Bulk {
    bytes: u64,
    put: Kind,
    tcp_there: Kind,
    get: Kind,
    tcp_back: Kind,
}

impl Bulk {
    fn new(bytes: u64) -> Result<Bulk, Failed> {
        let kind = |label| Kind::new("", label);
        Ok(Bulk {
            bytes,
            put: kind("put")?,
            tcp_there: kind("bare TCP there")?,
            get: kind("get")?,
            tcp_back: kind("bare TCP back")?,
        })
    }

    /// Measures a round. The value lies in the segment before the time of a put begins, and after that of a get
    /// has ended.
    fn measure(&mut self, store: Client, query: DomainQuery, tcp: &mut Tcp) -> Outcome {
        let ipc = chimaera::ipc()?;
        let bytes = self.bytes;
        let count = (ROUND_BYTES / bytes).clamp(1, MOST_VALUES);
        let put = ipc.new_task::<PutTask>(store.pool_id(), query, Method::PUT)?;
        put.key.set(KEY)?;
        put.value.set(vec![7; bytes as usize])?;
        // Not recorded: the store makes room for the value.
        let mut put = put.call()?.reuse();
        for _ in 0..count {
            put = self.put.measure_one(|| Ok(put.call()?.reuse()))?;
            let there = Exchange { there: bytes, back: 1 };
            self.tcp_there.measure_one(|| tcp.exchange(there))?;
        }
        drop(put);
        for _ in 0..count {
            let get = ipc.new_task::<GetTask>(store.pool_id(), query, Method::GET)?;
            get.key.set(KEY)?;
            let got = self.get.measure_one(|| Ok(get.call()?))?;
            if got.value.len() as u64 != bytes {
                let (got, put) = (got.value.len(), bytes);
                return Err(Failed::Message(format!(
                    "a value of {put} bytes came back with {got}"
                )));
            }
            drop(got);
            let back = Exchange { there: 0, back: bytes };
            self.tcp_back.measure_one(|| tcp.exchange(back))?;
        }
        Ok(())
    }

    /// Millions of bytes per second, by the median.
    fn rate(&self, kind: &Kind) -> f64 {
        self.bytes as f64 * 1e3 / kind.at(0.5).max(1) as f64
    }

    fn ways(&self) -> [(&'static str, &Kind, &Kind); 2] {
        [("put", &self.put, &self.tcp_there), ("get", &self.get, &self.tcp_back)]
    }

    fn document(&self) -> Value {
        let mut document = json!({ "bytes": self.bytes });
        for (name, task, tcp) in self.ways() {
            let (task, tcp) = (self.rate(task), self.rate(tcp));
            document[name] =
                json!({ "mb_per_s": task, "tcp_mb_per_s": tcp, "per_tcp": task / tcp });
        }
        document
    }

    fn lines(&self) -> String {
        let line = |(name, task, tcp): (&str, &Kind, &Kind)| {
            let (task, tcp) = (self.rate(task), self.rate(tcp));
            let label = format!("{name}, {}", show_size(self.bytes));
            format!("{label:<26}{task:>10.1}{tcp:>10.1}{:>12.2}\n", task / tcp)
        };
        self.ways().map(line).concat()
    }
}

/// The kinds of empty tasks.
struct Empty {
    relay: Kind,
    here: Busy,
    there: Busy,
}

impl Empty {
    fn new() -> Result<Empty, Failed> {
        Ok(Empty {
            relay: Kind::new("relay_ns", "bare relay by TCP")?,
            here: Busy {
                one: Kind::new("here_ns", "on this node")?,
                many: Kind::new("here_64_ns", "on this node, 64 at a time")?,
            },
            there: Busy {
                one: Kind::new("there_ns", "on the other node")?,
                many: Kind::new("there_64_ns", "on the other, 64 at a time")?,
            },
        })
    }

    fn measure(&mut self, count: u32, relay: &mut TcpRelay, pools: [Pool; 2]) -> Outcome {
        relay.start_round(count + WARM_UP)?;
        self.relay.measure(count, || {
            relay.exchange();
            Ok(())
        })?;
        for (tasks, pool) in [&mut self.here, &mut self.there].into_iter().zip(pools) {
            // Lets the one measured last fall asleep.
            std::thread::sleep(Duration::from_millis(1));
            tasks.measure(pool, count)?;
        }
        Ok(())
    }

    fn kinds(&self) -> [&Kind; 5] {
        [&self.relay, &self.here.one, &self.there.one, &self.here.many, &self.there.many]
    }

    /// A quantile of a task on the other node, in those of the bare relay.
    fn per_relay(&self, quantile: f64) -> f64 {
        self.there.one.at(quantile) as f64 / self.relay.at(quantile).max(1) as f64
    }
}

/// Tasks per second, by the median.
fn rate(kind: &Kind) -> f64 {
    1e9 / kind.at(0.5).max(1) as f64
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = allowed_cores()?;
    let pair = Pair::start(&args.modules)?;
    let mut relay = TcpRelay::start()?;
    let mut tcp = Tcp::start()?;
    // A value of its own for the put, and one for the get.
    pair.near().connect_with_room(args.sizes.iter().copied().max().unwrap_or(0))?;
    let pool = Pool::open(RUST, "bench_remote")?;
    let pools = pair.containers("bench_remote")?.map(|number| pool.to_container(number));
    let store = Client::create("bench_values", Params::default())
        .map_err(|status| no_pool(kv::MODULE, status.code(), status.message()))?;
    let [_, there] = pair.containers("bench_values")?;
    let query = DomainQuery::global_id(there);
    let mut empty = Empty::new()?;
    let mut bulk =
        args.sizes.iter().map(|&bytes| Bulk::new(bytes)).collect::<Result<Vec<_>, _>>()?;
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        empty.measure(args.count, &mut relay, pools)?;
        bulk.iter_mut().try_for_each(|one| one.measure(store, query, &mut tcp))?;
    }
    progress("");
    tell(context, &cores, &empty, &bulk);
    Ok(())
}

fn tell(context: &Context, cores: &[usize], empty: &Empty, bulk: &[Bulk]) {
    let [p50, p99] = [0.5, 0.99].map(|quantile| empty.per_relay(quantile));
    let [here, there] = [&empty.here, &empty.there].map(|busy| rate(&busy.many));
    let mut document: Map<String, Value> = times::document(&empty.kinds());
    document.insert("there_p50_per_relay".into(), json!(p50));
    document.insert("there_p99_per_relay".into(), json!(p99));
    document.insert("here_64_per_s".into(), json!(here));
    document.insert("there_64_per_s".into(), json!(there));
    document.insert("there_64_per_here_64".into(), json!(there / here));
    document.insert("values".into(), bulk.iter().map(Bulk::document).collect());
    document.insert("samples".into(), json!(empty.there.one.len()));
    document.insert("cores".into(), json!(cores));
    if context.print_json(&Value::Object(document)) {
        return;
    }
    crate::context::print(&format!(
        "empty tasks on this node and on another one, on the cores {cores:?}, in nanoseconds\n\n{}\n\
         on the other node a task takes {p50:.2} times what bare TCP takes through three processes, and {p99:.2} \
         times at p99;\nwith 64 at a time, there are {there:.0} tasks per second on the other node and {here:.0} on \
         this one, {:.2} times as many\n\n{:<26}{:>10}{:>10}{:>12}\n{}",
        times::table(&empty.kinds(), &[("per relay", &empty.relay)]),
        there / here,
        "values, one at a time",
        "MB/s",
        "TCP MB/s",
        "per TCP",
        bulk.iter().map(Bulk::lines).collect::<String>()
    ));
}
