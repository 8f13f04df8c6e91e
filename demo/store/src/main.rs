//! The demo's Rust program: puts the records of `demo_compress` into `chimaera:kv`, and checks that
//! they were stored.
//!
//! ```text
//! demo_store INSTANCE RECORDS
//! ```
//!
//! Lines on standard output report each task, and files whose bytes differ.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Stdout, Write};
use std::process::ExitCode;
use std::time::Instant;

use chimaera::client::{self, Options};
use chimaera_kv_client::{Client, Params};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A record of `demo/record.h`.
struct Record {
    file: u64,
    offset: u64,
    path: Vec<u8>,
    frame: Vec<u8>,
}

impl Record {
    /// Reads the next record; `None` at the end.
    fn read(input: &mut impl Read) -> Result<Option<Record>> {
        const WORDS: usize = 6;
        let mut header = Vec::new();
        if input.by_ref().take(WORDS as u64 * 8).read_to_end(&mut header)? == 0 {
            return Ok(None);
        }
        if header.len() < WORDS * 8 {
            return Err("the file of records is truncated".into());
        }
        let words: Vec<u64> = header
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().expect("it is 8 bytes long")))
            .collect();
        let mut bytes = |size: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(size)?];
            input.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        let (path, frame) = (bytes(words[4])?, bytes(words[5])?);
        Ok(Some(Record { file: words[0], offset: words[1], path, frame }))
    }

    /// The key of the record in the store: the offset of the piece, a slash, and the file's path.
    fn key(&self) -> Vec<u8> {
        [format!("{}/", self.offset).as_bytes(), &self.path].concat()
    }
}

fn report(
    out: &mut BufWriter<Stdout>,
    what: &str,
    sizes: (usize, usize),
    begin: Instant,
) -> Result<()> {
    Ok(writeln!(out, "task {what} {} {} {}", sizes.0, sizes.1, begin.elapsed().as_nanos())?)
}

/// Puts all records and gets them back. Returns `false` if one differs.
fn run(instance: String, records: OsString) -> Result<bool> {
    let mut input = BufReader::new(File::open(records)?);
    let mut out = BufWriter::new(std::io::stdout());
    client::init(Options { instance: Some(instance), ..Options::default() })?;
    let kv = Client::create("demo_store", Params::default())?;

    let mut equal = true;
    while let Some(record) = Record::read(&mut input)? {
        let key = record.key();
        let begin = Instant::now();
        kv.put(&key, &record.frame)?;
        report(&mut out, "put", (key.len() + record.frame.len(), 0), begin)?;

        let begin = Instant::now();
        let found = kv.get(&key)?;
        report(&mut out, "get", (key.len(), found.len()), begin)?;
        if found != record.frame {
            writeln!(out, "mismatch {}", record.file)?;
            equal = false;
        }
    }
    client::shutdown();
    Ok(equal)
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Ok([instance, records]) = <[OsString; 2]>::try_from(arguments) else {
        eprintln!("usage: demo_store INSTANCE RECORDS");
        return ExitCode::from(2);
    };
    match run(instance.to_string_lossy().into_owned(), records) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo_store: {error}");
            ExitCode::FAILURE
        }
    }
}
