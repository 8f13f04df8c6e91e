//! `chimaera bench bdev`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chimaera_bdev_client::{self as bdev, Client, Engine, Io, Params};
use chimaera_config::{parse_size, show_size};
use serde_json::{json, Value};

use super::daemon::Daemon;
use super::device::{Device, Operation, Positions};
use super::setup::{bind, progress, Setup};
use super::task::no_pool;
use super::times::{self, Kind};
use crate::context::{Context, Failed, Outcome};
use crate::number::{number, seconds};

/// The block size of the device, unless the accesses are smaller.
const DEVICE_BLOCK: u64 = 4096;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file to use as the device (it is overwritten), or a directory to create one in [default:
    /// the device is in memory]
    #[arg(long)]
    path: Option<PathBuf>,
    /// How to access the file
    #[arg(long, value_enum, default_value_t = EngineArg::Uring, requires = "path")]
    engine: EngineArg,
    /// Bypass the page cache of the operating system
    #[arg(long, requires = "path")]
    direct: bool,
    /// What to measure; can be repeated [default: both]
    #[arg(long = "operation", value_enum, value_name = "OPERATION")]
    operations: Vec<Operation>,
    /// Size of one access, such as 4KiB or 1MiB
    #[arg(long, value_name = "SIZE", default_value = "4KiB", value_parser = parse_size)]
    block_size: u64,
    /// Accesses in flight
    #[arg(long, default_value_t = 16, value_parser = number::<u32>(1..=512))]
    depth: u32,
    /// Size of the device; an existing file keeps its own
    #[arg(long, default_value = "64MiB", value_parser = parse_size)]
    size: u64,
    /// Access blocks in random instead of sequential order
    #[arg(long)]
    random: bool,
    /// Number of rounds; the operations alternate in each
    #[arg(long, default_value_t = 5, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    seconds: f64,
    /// Number of worker threads; a single worker has a core to itself
    #[arg(long, default_value_t = 1, value_parser = number::<u16>(1..=256))]
    workers: u16,
    #[command(flatten)]
    setup: Setup,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum EngineArg {
    Uring,
    Posix,
}

/// The file that serves as the device.
struct DeviceFile {
    path: PathBuf,
    /// Created by this measurement, and removed at its end.
    ours: bool,
}

impl DeviceFile {
    /// Uses the file `path`, or creates one of `size` bytes if it is a directory.
    fn new(path: &Path, size: u64) -> Result<DeviceFile, Failed> {
        let path = std::path::absolute(path)?;
        if !path.is_dir() {
            return Ok(DeviceFile { path, ours: false });
        }
        let path = path.join(format!("chimaera-bench-{}", std::process::id()));
        let mut options = File::options();
        let cannot = |error| Failed::Message(format!("{}: {error}", path.display()));
        let mut file = options.write(true).create_new(true).open(&path).map_err(cannot)?;
        let made = DeviceFile { path: path.clone(), ours: true };
        // Written in full, so that no measured write has to allocate disk space.
        let piece = vec![7; 1 << 20];
        let mut left = size;
        while left > 0 {
            let n = left.min(piece.len() as u64);
            file.write_all(&piece[..n as usize]).map_err(cannot)?;
            left -= n;
        }
        file.sync_all().map_err(cannot)?;
        Ok(made)
    }
}

impl Drop for DeviceFile {
    fn drop(&mut self) {
        if self.ours {
            // The file may already have been removed.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Copies between a memory area of the device's size and the buffers, on one thread.
struct Memory {
    device: Vec<u8>,
    buffers: Vec<Vec<u8>>,
    positions: Positions,
}

impl Memory {
    fn new(args: &Args) -> Memory {
        let bytes = args.block_size as usize;
        Memory {
            device: vec![7; args.size as usize],
            buffers: vec![vec![7; bytes]; args.depth as usize],
            positions: Positions::new(args.size / args.block_size, args.random),
        }
    }

    /// Returns the copies per second.
    fn measure(&mut self, operation: Operation, time: Duration) -> f64 {
        let begin = Instant::now();
        let mut done: usize = 0;
        while begin.elapsed() < time {
            let n = self.buffers.len();
            let buffer = &mut self.buffers[done % n];
            let at = self.positions.next() as usize * buffer.len();
            let block = &mut self.device[at..at + buffer.len()];
            match operation {
                Operation::Read => buffer.copy_from_slice(block),
                Operation::Write => block.copy_from_slice(buffer),
            }
            std::hint::black_box((block, buffer));
            done += 1;
        }
        done as f64 / begin.elapsed().as_secs_f64()
    }
}

/// The results for one operation.
struct Measured {
    operation: Operation,
    latencies: Kind,
    /// Operations per second in each round, and bare copies per second.
    rates: Vec<f64>,
    copies: Vec<f64>,
}

impl Measured {
    fn new(operation: Operation) -> Result<Measured, Failed> {
        let (key, label) = match operation {
            Operation::Read => ("read", "read"),
            Operation::Write => ("write", "write"),
        };
        let latencies = Kind::new(key, label)?;
        Ok(Measured { operation, latencies, rates: Vec::new(), copies: Vec::new() })
    }
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

impl Args {
    /// The block size of the device. An access must be a whole number of blocks.
    fn device_block(&self) -> Result<u64, Failed> {
        let wrong = |what: String| Err(Failed::Message(what));
        let bytes = self.block_size;
        let least = u64::from(bdev::MIN_BLOCK_SIZE);
        if bytes == 0 || !bytes.is_multiple_of(least) || bytes > 1 << 30 {
            let bytes = show_size(bytes);
            return wrong(format!(
                "an access of {bytes} is not possible: use a multiple of {least}B up to 1GiB"
            ));
        }
        if self.path.is_none() && self.size < bytes {
            return wrong(format!(
                "a device of {} is smaller than one access of {}",
                show_size(self.size),
                show_size(bytes)
            ));
        }
        Ok(if bytes.is_multiple_of(DEVICE_BLOCK) { DEVICE_BLOCK } else { least })
    }

    fn params(&self, file: Option<&DeviceFile>) -> Result<Params, Failed> {
        let block_size = self.device_block()?;
        let mut params = Params { block_size: block_size as u32, ..Params::default() };
        let Some(file) = file else {
            params.blocks = self.size / block_size;
            return Ok(params);
        };
        params.path = match file.path.to_str() {
            Some(path) => path.to_owned(),
            None => {
                let path = file.path.display();
                return Err(Failed::Message(format!("the path {path} is not UTF-8")));
            }
        };
        params.direct = self.direct;
        // The file may be one that another program reads and writes as well.
        params.overwrite = true;
        params.io = match self.engine {
            EngineArg::Uring => Io::Uring,
            EngineArg::Posix => Io::Posix,
        };
        Ok(params)
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let device_block = args.device_block()?;
    let cores = args.setup.cores()?;
    let file = args.path.as_ref().map(|path| DeviceFile::new(path, args.size)).transpose()?;
    // A single worker has a core to itself, and the threads that serve the file may use every core;
    // several workers share the cores with the client.
    let daemon = match args.workers {
        1 => Daemon::start_pinned(&args.setup.modules, &[cores.worker])?,
        workers => Daemon::start(&args.setup.modules, workers, None)?,
    };
    if args.workers == 1 {
        bind([cores.client])?;
    }
    daemon.connect_with_room(args.block_size * u64::from(args.depth))?;
    let client = Client::create("bench_bdev", args.params(file.as_ref())?)
        .map_err(|status| no_pool(bdev::MODULE, status.code(), status.message()))?;
    let engine = client.stats()?.engine;
    let (bytes, depth) = (args.block_size as usize, args.depth as usize);
    let blocks = args.block_size / device_block;
    let mut device = Device::new(client, blocks, bytes, depth, args.random)?;
    let mut memory = file.is_none().then(|| Memory::new(args));
    if memory.is_some() {
        progress("filling the device");
        device.fill()?;
    }
    let both = [Operation::Read, Operation::Write];
    let operations = if args.operations.is_empty() { &both[..] } else { &args.operations };
    let mut all = operations.iter().copied().map(Measured::new).collect::<Result<Vec<_>, _>>()?;
    let time = Duration::from_secs_f64(args.seconds);
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        for one in &mut all {
            one.rates.push(device.measure(one.operation, time, &mut one.latencies)?);
            if let Some(memory) = &mut memory {
                one.copies.push(memory.measure(one.operation, time));
            }
        }
    }
    progress("");
    tell(context, args, engine, &mut all);
    device.release()
}

fn tell(context: &Context, args: &Args, engine: u64, all: &mut [Measured]) {
    let backend = match engine {
        engine if engine == Engine::Ram as u64 => "ram",
        engine if engine == Engine::Uring as u64 => "uring",
        _ => "posix",
    };
    let mut document = json!({
        "backend": backend,
        "block_size": args.block_size,
        "depth": args.depth,
        "direct": args.direct,
        "random": args.random,
        "workers": args.workers,
    });
    let mib = args.block_size as f64 / f64::from(1 << 20);
    let mut throughput = String::new();
    for one in &mut *all {
        let rate = median(&mut one.rates);
        let name = format!("{:?}", one.operation).to_lowercase();
        let latency = times::document(&[&one.latencies]).remove(&name);
        let mut found = json!({ "per_s": rate, "mib_per_s": rate * mib, "latency_ns": latency });
        throughput += &format!("\n{name:<26}{rate:>10.0}{:>10.1}", rate * mib);
        if !one.copies.is_empty() {
            let copies = median(&mut one.copies);
            found["memcpy_mib_per_s"] = json!(copies * mib);
            found["per_memcpy"] = json!(rate / copies);
            throughput += &format!("{:>16.1}{:>12.2}", copies * mib, rate / copies);
        }
        document[name] = found;
    }
    if context.print_json(&Value::clone(&document)) {
        return;
    }
    let kinds: Vec<&Kind> = all.iter().map(|one| &one.latencies).collect();
    let of_memcpy = if backend == "ram" {
        format!("{:>16}{:>12}", "memcpy MiB/s", "per memcpy")
    } else {
        String::new()
    };
    crate::context::print(&format!(
        "{} blocks of {}, {} in flight, of a device {}\n\n{:<26}{:>10}{:>10}{of_memcpy}{throughput}\n\n\
         in nanoseconds\n{}",
        if args.random { "random" } else { "sequential" },
        show_size(args.block_size),
        args.depth,
        match backend {
            "ram" => "in memory".to_owned(),
            engine => format!(
                "in a file, through {engine}, {}",
                if args.direct { "uncached" } else { "cached" }
            ),
        },
        "",
        "per s",
        "MiB/s",
        times::table(&kinds, &[])
    ));
}
