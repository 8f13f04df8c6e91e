//! Tests of the families: by names that are known to be macros, and against the headers of the
//! machine on which the tests run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::names::{refuse_method, refuse_name};

/// Headers of C and of the C library; of other directories see [`DIRECTORIES`].
const HEADERS: &[&str] = &[
    "a.out.h",
    "aio.h",
    "alloca.h",
    "ar.h",
    "argp.h",
    "argz.h",
    "assert.h",
    "byteswap.h",
    "complex.h",
    "cpio.h",
    "cpuid.h",
    "crypt.h",
    "ctype.h",
    "dirent.h",
    "dlfcn.h",
    "elf.h",
    "endian.h",
    "envz.h",
    "err.h",
    "errno.h",
    "error.h",
    "execinfo.h",
    "fcntl.h",
    "fenv.h",
    "float.h",
    "fmtmsg.h",
    "fnmatch.h",
    "fstab.h",
    "fts.h",
    "ftw.h",
    "getopt.h",
    "glob.h",
    "grp.h",
    "gshadow.h",
    "iconv.h",
    "ifaddrs.h",
    "inttypes.h",
    "iso646.h",
    "langinfo.h",
    "lastlog.h",
    "libgen.h",
    "libintl.h",
    "limits.h",
    "link.h",
    "locale.h",
    "malloc.h",
    "math.h",
    "mcheck.h",
    "mntent.h",
    "monetary.h",
    "mqueue.h",
    "netdb.h",
    "nl_types.h",
    "nss.h",
    "obstack.h",
    "paths.h",
    "poll.h",
    "printf.h",
    "pthread.h",
    "pty.h",
    "pwd.h",
    "regex.h",
    "resolv.h",
    "sched.h",
    "search.h",
    "semaphore.h",
    "setjmp.h",
    "sgtty.h",
    "shadow.h",
    "signal.h",
    "spawn.h",
    "stab.h",
    "stdalign.h",
    "stdarg.h",
    "stdbool.h",
    "stddef.h",
    "stdint.h",
    "stdio.h",
    "stdio_ext.h",
    "stdlib.h",
    "string.h",
    "strings.h",
    "sysexits.h",
    "syslog.h",
    "tar.h",
    "termio.h",
    "termios.h",
    "tgmath.h",
    "thread_db.h",
    "time.h",
    "ttyent.h",
    "uchar.h",
    "ucontext.h",
    "ulimit.h",
    "unistd.h",
    "utime.h",
    "utmp.h",
    "utmpx.h",
    "values.h",
    "wait.h",
    "wchar.h",
    "wctype.h",
    "wordexp.h",
];

/// Headers of C alone.
const C_HEADERS: &[&str] = &["stdatomic.h", "stdnoreturn.h", "threads.h"];

/// Headers of C++ that may define macros, and Chimaera's.
const CPP_HEADERS: &[&str] = &["version", "cfloat", "cmath", "chimaera/chimaera.h"];

/// Directories all of whose headers belong to the C library or to the kernel.
const DIRECTORIES: &[&str] = &[
    "arpa",
    "asm",
    "asm-generic",
    "linux",
    "misc",
    "mtd",
    "net",
    "netash",
    "netatalk",
    "netax25",
    "neteconet",
    "netinet",
    "netipx",
    "netiucv",
    "netpacket",
    "netrom",
    "netrose",
    "nfs",
    "protocols",
    "rdma",
    "scsi",
    "sound",
    "sys",
    "video",
    "xen",
];

/// Macros that put one identifier in the place of another, as which it is as good a name. They are
/// words that people choose, and their headers are rarely included.
const HARMLESS: &[&str] = &["basename", "direct"];

/// Marks in the output of the preprocessor how many headers it has read.
const MARK: &str = "chimaera_has_read_";

/// The directories in which `compiler` looks for headers of the system.
fn search_path(compiler: &str) -> Option<Vec<String>> {
    let output = Command::new(compiler)
        .args(["-E", "-v", "-x", "c", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let listed = text.lines().skip_while(|line| !line.starts_with("#include <"));
    Some(listed.filter_map(|line| line.strip_prefix(' ')).map(str::to_owned).collect())
}

/// Adds the headers in `directory` and below to `found`, each by the name that is included.
fn add_headers(directory: &Path, name: &str, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.map(|entry| entry.unwrap()) {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if name.ends_with(".h") {
            found.insert(name);
        } else {
            add_headers(&entry.path(), &name, found);
        }
    }
}

/// Preprocesses `headers` in one go and adds the macros that they define to `found`: their names,
/// and whether they take arguments. Returns how many headers were read before one ended it.
fn preprocess(
    compiler: &str,
    flags: &[&str],
    headers: &[&str],
    found: &mut BTreeSet<(String, bool)>,
) -> usize {
    let mut source = String::new();
    for (index, header) in headers.iter().enumerate() {
        writeln!(source, "#if __has_include(<{header}>)\n#include <{header}>\n#endif").unwrap();
        writeln!(source, "#define {MARK}{}", index + 1).unwrap();
    }
    let mut child = Command::new(compiler)
        .args(flags)
        .args(["-D_GNU_SOURCE", "-dD", "-E", "-P", "-w", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The compiler may stop reading where an `#include` fails.
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || drop(input.write_all(source.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let mut read = 0;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some(line) = line.strip_prefix("#define ") else { continue };
        let name = &line[..line.find([' ', '(']).unwrap_or(line.len())];
        if let Some(count) = name.strip_prefix(MARK) {
            read = count.parse().unwrap();
        } else {
            found.insert((name.to_owned(), line[name.len()..].starts_with('(')));
        }
    }
    read
}

/// All macros that headers define under `compiler`. A few headers include one that belongs to
/// another package: those are left out if it is missing.
fn macros_of(compiler: &str, flags: &[&str], more: &[&str]) -> BTreeSet<(String, bool)> {
    let Some(path) = search_path(compiler) else {
        eprintln!("{compiler} is not installed: skipping the check");
        return BTreeSet::new();
    };
    let mut in_directories = BTreeSet::new();
    for directory in DIRECTORIES {
        for root in &path {
            add_headers(&Path::new(root).join(directory), directory, &mut in_directories);
        }
    }
    let listed = HEADERS.iter().chain(more).copied();
    let headers: Vec<&str> = listed.chain(in_directories.iter().map(String::as_str)).collect();
    let mut found = BTreeSet::new();
    let (mut left, mut failed) = (&headers[..], Vec::<&str>::new());
    while !left.is_empty() {
        let read = preprocess(compiler, flags, left, &mut found);
        failed.extend(left.get(read));
        left = left.get(read + 1..).unwrap_or_default();
        assert!(failed.len() < 30, "{compiler} {flags:?} fails with {failed:?}");
    }
    assert!(found.len() > 2000, "{compiler} {flags:?}: {}", found.len());
    found
}

#[test]
fn no_macro_of_the_headers_is_a_name() {
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include");
    let mut all = macros_of("cc", &["-std=gnu17", "-x", "c"], C_HEADERS);
    all.extend(macros_of("c++", &["-std=gnu++20", "-x", "c++", "-I", include], CPP_HEADERS));
    let mut taken = BTreeSet::new();
    for (name, with_arguments) in all {
        let method = format!("k{name}");
        if refuse_method(&method).is_none() {
            taken.insert(method);
        }
        // A function-like macro expands only before a parenthesis, and these names are never
        // followed by one.
        if !with_arguments && !HARMLESS.contains(&&name[..]) && refuse_name(&name).is_none() {
            taken.insert(name);
        }
    }
    assert_eq!(taken, BTreeSet::new());
}

#[test]
fn macros_are_refused_by_family() {
    for stem in
        ["EINVAL", "ENEW2", "SIGINT", "SIGNEW", "NSIGNEW", "I", "NAN", "WIFNEW", "B57600", "POLLIN"]
    {
        let why = refuse_method(&format!("k{stem}")).unwrap();
        assert!(why.contains("may be, a macro of"), "{stem}: {why}");
        assert!(refuse_name(stem).is_some(), "{stem}");
    }
    for name in [
        "st_mtime",
        "st_new",
        "sa_handler",
        "h_addr",
        "si_pid",
        "errno",
        "linux",
        "ip6_flow",
        "ip6_new",
        "icmp_seq",
        "icmp6_new",
        "nd_ra_type",
        "mld_new",
        "ipt_new",
        "pn_new",
        "dq_new",
        "th_new",
        "ut_time",
        "bit_NEW_2",
    ] {
        assert!(refuse_name(name).unwrap().contains("may be, a macro of"), "{name}");
    }
}

#[test]
fn macros_of_headers_that_few_include_are_refused() {
    for stem in [
        "FITRIM",
        "FICLONE",
        "FICLONERANGE",
        "FIFREEZE",
        "FITHAW",
        "FIBMAP",
        "FIGETBSZ",
        "BLKGETSIZE64",
        "BLKDISCARD",
        "BLKNEW",
        "IPVERSION",
        "MOUNTED",
        "MNTTAB",
        "CODESET",
        "YESSTR",
        "RADIXCHAR",
        "GROUPING",
        "SHADOW",
        "ACCOUNTING",
        "CDROMEJECT",
        "HIDIOCGFLAG",
        "TUNSETIFF",
        "FDFLUSH",
        "RNDGETPOOL",
        "ADD",
        "DELETE",
        "QUERY",
        "STATUS",
        "ACK",
        "DATA",
        "COPY",
        "VERIFY",
        "BYTE",
        "WORD",
        "BIT7",
        "R8",
        "VERSION",
        "SUCCESS",
        "TRUE",
        "ElfW",
        "FailFast1",
        "K",
        "ROUNDUP",
        "MAJOR",
        "SHMGET",
        "MTREW",
    ] {
        let why = refuse_method(&format!("k{stem}")).unwrap();
        assert!(why.contains("may be, a macro of"), "{stem}: {why}");
    }
    for name in [
        "no_argument",
        "required_argument",
        "optional_argument",
        "msg_cbytes",
        "fscrypt_policy",
        "nvme_admin_cmd",
        "sin_zero",
        "arp_op",
        "rr_type",
        "p_type",
        "p_class",
        "res_init",
        "nsaddr",
        "hostalias",
        "cdev_t",
        "tipc_name",
        "tc_gen",
        "ss_name",
        "rt_mss",
        "stats_ptr",
        "input_event_sec",
    ] {
        assert!(refuse_name(name).unwrap().contains("may be, a macro of"), "{name}");
    }
}

#[test]
fn words_that_only_resemble_macros_are_names() {
    for name in [
        "kEcho", "kE", "kSign", "kSIg", "kURL", "kTCP", "kMaximum", "kB", "kPing", "kWait",
        "kBlock", "kBlk", "kFitrim", "kFind", "kFIND", "kFIFO", "kAdd", "kDelete", "kQuery",
        "kCopy", "kAck", "kMTU", "kPPP", "kRND", "kSEM", "kMSG", "kSHM", "kCD", "kFD", "kTUN",
        "kR2", "kR16", "kBIT", "kMEMCPY", "kJSON", "kSQL", "kCRC32", "kSHA256", "kLZ4", "kID",
        "kRPC", "kIO", "kGPU", "kTrue", "kVersion", "kStatus",
    ] {
        assert_eq!(refuse_method(name), None, "{name}");
    }
    for name in [
        "start",
        "state_of",
        "sign",
        "hits",
        "size",
        "max",
        "st",
        "sa",
        "si",
        "h",
        "direct",
        "basename",
        "argument",
        "msg_id",
        "msg_size",
        "msg",
        "ip6",
        "ip",
        "icmp",
        "arp",
        "flow",
        "fscrypt",
        "policy",
        "nvme",
        "bit_rate",
        "bit_width",
        "signature_size",
        "p_value",
        "res",
        "res_size",
        "rr_index",
        "kind",
        "tc",
        "tar",
        "block",
        "query",
        "status",
        "data",
        "ack",
        "ipv6_addr",
        "sin",
        "rt",
        "ss",
    ] {
        assert_eq!(refuse_name(name), None, "{name}");
    }
}
