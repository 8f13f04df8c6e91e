//! Lists of the hosts of a cluster: files with a host per line, and what schedulers say of their jobs.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::value::{host_of, is_address, with_port, DEFAULT_PORT};

/// The largest size of a file with hosts, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The largest number of brackets in a name of Slurm, and of digits in a number there.
const MAX_BRACKETS: usize = 8;
const MAX_DIGITS: usize = 10;
/// The largest number of hosts.
pub(crate) const MAX_HOSTS: usize = 1024;

/// What a scheduler says of the job that this process belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    /// `SLURM_STEP_NODELIST` or `SLURM_JOB_NODELIST`.
    slurm: Option<String>,
    /// `SLURM_JOB_ID` or `PBS_JOBID`.
    id: Option<String>,
    /// `SLURMD_NODENAME`: which of them this is.
    slurm_own: Option<String>,
    /// `PBS_NODEFILE`.
    pbs: Option<PathBuf>,
}

/// The hosts of a cluster, in their order: the first founds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hosts {
    all: Vec<String>,
    /// Which of them this is, if the scheduler says so.
    named: Option<String>,
    /// The job that has them, if one has.
    job: Option<String>,
    /// Who says so.
    source: String,
}

impl Job {
    pub(crate) fn of(environment: &dyn Fn(&str) -> Option<OsString>) -> Job {
        let text = |name| {
            let text = environment(name).filter(|text| !text.is_empty());
            text.map(|text| text.to_string_lossy().into_owned())
        };
        let pbs = environment("PBS_NODEFILE").filter(|path| !path.is_empty()).map(PathBuf::from);
        Job {
            // The nodes of a step are those on which this command runs.
            slurm: text("SLURM_STEP_NODELIST").or_else(|| text("SLURM_JOB_NODELIST")),
            id: text("SLURM_JOB_ID").or_else(|| text("PBS_JOBID")),
            slurm_own: text("SLURMD_NODENAME"),
            pbs,
        }
    }

    /// The hosts of the job, if there is one.
    pub(crate) fn hosts(&self) -> Option<Result<Hosts, String>> {
        let id = self.id.clone();
        if let Some(list) = &self.slurm {
            let hosts = expand(list).and_then(|all| Hosts::new(all, "the nodes of the Slurm job"));
            let named = self.slurm_own.clone();
            let hosts = hosts.map(|hosts| Hosts { named, job: id, ..hosts });
            // Where a job was allocated, its variables are set, too, but that is no node of it.
            let is_elsewhere = |hosts: &Hosts| hosts.named.is_none() && hosts.own(None).is_err();
            return Some(hosts).filter(|hosts| !hosts.as_ref().is_ok_and(is_elsewhere));
        }
        let hosts = self.pbs.as_deref().map(Hosts::read)?;
        Some(hosts.map(|hosts| Hosts { job: id, ..hosts }))
    }
}

impl Hosts {
    /// Reads a file: a host in the first word of each line. What follows `#` is a comment.
    pub(crate) fn read(path: &Path) -> Result<Hosts, String> {
        let shown = path.display().to_string();
        let text = read_bounded(path).map_err(|error| format!("{shown}: {error}"))?;
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let hosts = lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
        Hosts::new(hosts.collect(), &shown)
    }

    fn new(hosts: Vec<String>, source: &str) -> Result<Hosts, String> {
        let mut all: Vec<String> = Vec::new();
        // A host is there once for each of its processors in some lists.
        for host in hosts {
            if !is_address(&host) {
                let host: String = host.escape_debug().take(80).collect();
                return Err(format!("{source}: \"{host}\" is no HOST[:PORT]"));
            }
            if !all.contains(&host) {
                all.push(host);
            }
        }
        match all.len() {
            0 => Err(format!("{source}: it names no host")),
            1..=MAX_HOSTS => Ok(Hosts { all, named: None, job: None, source: source.to_owned() }),
            count => {
                Err(format!("{source}: it names {count} hosts; a cluster has at most {MAX_HOSTS}"))
            }
        }
    }

    /// Which of the hosts this is: the one where it listens, the one that the scheduler or the machine calls it, or
    /// the first with an address of this machine.
    fn own(&self, listen: Option<SocketAddr>) -> Result<usize, String> {
        let listens = |host: &String| listen.is_some() && resolve(host).ok() == listen;
        let of_scheduler = self.named.as_deref();
        let called = machine();
        let is_named = |host: &String, name: &str| is_called(host_of(host), name);
        let here = own_addresses();
        let is_here = |host: &String| {
            resolve(host).is_ok_and(|found| here.iter().any(|(_, own)| *own == found.ip()))
        };
        // If several are on one machine, its port says which.
        let is_only = |host: &String| {
            self.all.iter().filter(|other| host_of(other) == host_of(host)).count() == 1
        };
        let first = |is_it: &dyn Fn(&String) -> bool| self.all.iter().position(is_it);
        let position = first(&listens)
            .or_else(|| first(&|host| of_scheduler.is_some_and(|name| is_named(host, name))))
            .or_else(|| first(&|host| is_named(host, &called) && is_only(host)))
            .or_else(|| first(&|host| is_only(host) && is_here(host)));
        position.ok_or_else(|| match listen {
            Some(listen) => format!(
                "{}: none of the hosts is {listen}, where this node listens (cluster.listen)",
                self.source
            ),
            None => format!(
                "{}: none of the hosts is this machine, which is called {called}",
                self.source
            ),
        })
    }

    /// What becomes of the list on this machine.
    pub(crate) fn place(&self, listen: Option<SocketAddr>) -> Result<Place, String> {
        let own = self.own(listen)?;
        let is_first = own == 0;
        let others = self.all.iter().enumerate().filter(|(number, _)| *number != own);
        let others = others.map(|(_, host)| resolve(host));
        // Those whose names have no address yet find this node by themselves.
        let others: Vec<SocketAddr> = others.flatten().collect();
        if let (Some(listen), Ok(listed)) = (listen, resolve(&self.all[own])) {
            // Many machines call themselves by a loopback address.
            let is_same = listed.ip() == listen.ip() || listed.ip().is_loopback();
            if !is_same || listed.port() != listen.port() {
                return Err(format!(
                    "{}: others look for this node at {} ({listed}), but it listens at {listen} (cluster.listen)",
                    self.source, self.all[own]
                ));
            }
        }
        let listen = match (listen, others.first()) {
            (Some(listen), _) => listen,
            (None, first) => {
                let own = resolve(&self.all[own])?;
                match first {
                    // Many machines call themselves that.
                    Some(other) if own.ip().is_loopback() && !other.ip().is_loopback() => {
                        SocketAddr::new(own_address(*other)?, own.port())
                    }
                    _ => own,
                }
            }
        };
        let name = self.all[own].clone();
        let job = self.job.clone();
        Ok(Place { name, listen, others, is_first, hosts: self.all.len(), job })
    }
}

/// Reads a regular file of at most [`MAX_FILE`] bytes.
fn read_bounded(path: &Path) -> std::io::Result<String> {
    // A pipe would keep the start waiting.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    match text.len() as u64 <= MAX_FILE {
        true => Ok(text),
        false => Err(std::io::Error::other(format!("it has more than {MAX_FILE} bytes"))),
    }
}

/// This node among the hosts of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) listen: SocketAddr,
    /// Where the others are, the first host first.
    pub(crate) others: Vec<SocketAddr>,
    pub(crate) is_first: bool,
    pub(crate) hosts: usize,
    pub(crate) job: Option<String>,
}

impl Place {
    /// What the directory of this node's log is called: homes may be shared, and jobs follow each other.
    pub(crate) fn directory(&self) -> String {
        let job = self.job.as_ref().map_or(String::new(), |job| format!("-job-{job}"));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let plain = |c| if is_plain(c) { c } else { '_' };
        format!("cluster{job}-{}", self.name).chars().map(plain).collect()
    }
}

/// The address of `HOST[:PORT]`, or of the interface of this machine with that name.
///
/// # Errors
/// The name has no address.
pub fn resolve(address: &str) -> Result<SocketAddr, String> {
    resolve_at(address, DEFAULT_PORT)
}

/// Where metrics are served, and by which names the machine is known there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsAddress {
    /// Where.
    pub at: SocketAddr,
    /// Names of the machine by which it may be asked.
    pub names: Vec<String>,
}

/// The port of metrics, unless another is named: the one that exporters for Prometheus have by default.
const METRICS_PORT: u16 = 9464;

impl MetricsAddress {
    /// That of `HOST[:PORT]`; a port alone is one of the machine itself.
    pub(crate) fn of(text: &str, names: &[String]) -> Result<MetricsAddress, String> {
        MetricsAddress::at(text, METRICS_PORT, names)
            .map_err(|why| format!("metrics.listen: {why}"))
    }

    /// The same for another server, which has this port unless another is named.
    ///
    /// # Errors
    /// The address cannot be listened at; the message says why.
    pub fn at(text: &str, port: u16, names: &[String]) -> Result<MetricsAddress, String> {
        let is_port = text.bytes().all(|byte| byte.is_ascii_digit());
        let at = match text.parse::<u16>() {
            Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
            Err(_) if is_port => return Err(format!("{text} is no port: use one from 0 to 65535")),
            Err(_) => resolve_at(text, port)?,
        };
        let mut machine_names = Vec::new();
        if !at.ip().is_loopback() {
            machine_names = vec![host_of(text).to_owned(), machine()];
        }
        machine_names.extend(names.iter().map(|name| host_of(name).to_owned()));
        Ok(MetricsAddress { at, names: machine_names })
    }
}

/// The address of `HOST[:PORT]`, or of the interface of this machine with that name.
fn resolve_at(address: &str, port: u16) -> Result<SocketAddr, String> {
    let whole = with_port(address, port);
    let (host, port) = whole.rsplit_once(':').unwrap_or((&whole, ""));
    let of_interface = || {
        let addresses = own_addresses().into_iter().filter(|(name, _)| name == host);
        addresses.map(|(_, ip)| ip).min_by_key(IpAddr::is_ipv6)
    };
    if let (Some(ip), Ok(port)) = (of_interface(), port.parse()) {
        return Ok(SocketAddr::new(ip, port));
    }
    let found = whole.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?.next();
    found.ok_or_else(|| format!("{address}: the name has no address"))
}

/// The address of this machine from which another one is reached. Nothing is sent.
pub(crate) fn own_address(other: SocketAddr) -> Result<IpAddr, String> {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
    let any: SocketAddr = match other.is_ipv4() {
        true => (Ipv4Addr::UNSPECIFIED, 0).into(),
        false => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let found = UdpSocket::bind(any)
        .and_then(|socket| socket.connect(other).and_then(|()| socket.local_addr()))
        .map_err(|error| format!("{other} cannot be reached: {error}"))?;
    Ok(found.ip())
}

/// The addresses of this machine, with the names of their interfaces. Those that need one named are left out.
fn own_addresses() -> Vec<(String, IpAddr)> {
    let all = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
    all.filter(|it| !it.is_link_local()).map(|it| (it.name.clone(), it.ip())).collect()
}

/// What this machine is called.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether two names of a host are the same but for a domain that one of them lacks.
fn is_called(one: &str, other: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let is_ip = |name: &str| name.parse::<IpAddr>().is_ok();
    let has_domain = |name: &str| name.contains('.');
    if is_ip(one) || is_ip(other) || (has_domain(one) && has_domain(other)) {
        return one.eq_ignore_ascii_case(other);
    }
    short(one).eq_ignore_ascii_case(&short(other))
}

/// The hosts of a list of Slurm: `n[01-03,7]-ib,login`.
///
/// The form is that of the section "Hostlist expressions" in the documentation of Slurm's `scontrol`.
fn expand(list: &str) -> Result<Vec<String>, String> {
    let mut hosts = Vec::new();
    let (mut depth, mut start) = (0u32, 0);
    let pieces = list.char_indices().chain([(list.len(), ',')]);
    for (at, c) in pieces {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1).ok_or_else(|| malformed(list))?,
            ',' if depth == 0 || at == list.len() => {
                hosts.extend(expand_one(list, &list[start..at])?);
                start = at + 1;
            }
            _ => {}
        }
        if depth > 1 || hosts.len() > MAX_HOSTS {
            return Err(malformed(list));
        }
    }
    match depth {
        0 => Ok(hosts),
        _ => Err(malformed(list)),
    }
}

fn malformed(list: &str) -> String {
    let list: String = list.escape_debug().take(80).collect();
    format!("the nodes of the Slurm job: {list}: it cannot be read, or names more than {MAX_HOSTS} hosts")
}

/// The hosts of one name, in which each bracket stands for all that is in it.
fn expand_one(list: &str, name: &str) -> Result<Vec<String>, String> {
    if name.matches('[').count() > MAX_BRACKETS {
        return Err(malformed(list));
    }
    let Some((before, rest)) = name.split_once('[') else { return Ok(vec![name.to_owned()]) };
    let (inside, after) = rest.split_once(']').ok_or_else(|| malformed(list))?;
    let after = expand_one(list, after)?;
    let mut hosts = Vec::new();
    for range in inside.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| malformed(list));
        let (low, high, width) = (number(first)?, number(last)?, first.len());
        if width > MAX_DIGITS || high < low || (high - low) as usize >= MAX_HOSTS {
            return Err(malformed(list));
        }
        for number in low..=high {
            let all = after.iter().map(|after| format!("{before}{number:0width$}{after}"));
            hosts.extend(all);
            if hosts.len() > MAX_HOSTS {
                return Err(malformed(list));
            }
        }
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_slurm_are_expanded() {
        for (list, hosts) in [
            ("login", "login"),
            ("n[1-3]", "n1 n2 n3"),
            ("n[08-10,12],m5", "n08 n09 n10 n12 m5"),
            ("r[1-2]n[3-4]-ib", "r1n3-ib r1n4-ib r2n3-ib r2n4-ib"),
            ("a,b.example.org", "a b.example.org"),
        ] {
            assert_eq!(expand(list).unwrap().join(" "), hosts, "{list}");
        }
    }

    #[test]
    fn other_lists_are_refused() {
        for list in [
            "n[",
            "n]",
            "n[1-",
            "n[]",
            "n[a]",
            "n[3-1]",
            "n[[1]]",
            "n[1-99999]",
            "n[1-1000],m[1-1000]",
            "n[1-4294967295]",
        ] {
            assert!(expand(list).is_err(), "{list}");
        }
        let empty = Hosts::new(expand("a,,b").unwrap(), "list");
        assert!(empty.unwrap_err().contains("is no HOST[:PORT]"));
    }

    /// Whatever it is, it is read or refused.
    #[test]
    fn noise_is_read_or_refused() {
        let mut state = 1u64;
        let mut next = |below: usize| {
            // Of Knuth's MMIX.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let list: String =
                (0..next(16)).map(|_| ['n', '[', ']', ',', '-', '1', '0', 'ß'][next(8)]).collect();
            if let Ok(hosts) = expand(&list) {
                assert!(hosts.len() <= 2 * MAX_HOSTS, "{list}");
            }
        }
    }

    #[test]
    fn a_file_has_a_host_in_each_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hosts");
        std::fs::write(&file, "# all\n\nn1 slots=4\nn1\n n2:5000 # spare\n").unwrap();
        assert_eq!(Hosts::read(&file).unwrap().all, ["n1", "n2:5000"]);
        std::fs::write(&file, vec![b'a'; 2 << 20]).unwrap();
        assert!(Hosts::read(&file).unwrap_err().ends_with("more than 1048576 bytes"));
        assert!(Hosts::read("/dev/zero".as_ref()).unwrap_err().ends_with("it is no file"));
        std::fs::write(&file, "x\u{202e}".repeat(1000)).unwrap();
        assert!(Hosts::read(&file).unwrap_err().len() < 200);
        std::fs::write(&file, "# none\n").unwrap();
        assert!(Hosts::read(&file).unwrap_err().ends_with("hosts: it names no host"));
        std::fs::write(&file, "n1,n2\n").unwrap();
        assert!(Hosts::read(&file).unwrap_err().contains("\"n1,n2\" is no HOST[:PORT]"));
        assert!(Hosts::read(&directory.path().join("none")).is_err());
    }

    #[test]
    fn each_node_has_its_place() {
        let hosts = Hosts::new(
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(String::from).into(),
            "list",
        )
        .unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let second = hosts.place(Some(at(2))).unwrap();
        assert_eq!(
            (second.listen, &*second.others, second.is_first),
            (at(2), &[at(1), at(3)][..], false)
        );
        assert!(hosts.place(Some(at(1))).unwrap().is_first);
        let none = hosts.place(Some(at(4))).unwrap_err();
        assert!(none.contains("none of the hosts is 127.0.0.1:4"), "{none}");
    }

    #[test]
    fn a_machine_is_known_by_its_name() {
        let own = machine();
        let list = ["203.0.113.1", &own, "203.0.113.3"].map(String::from);
        let hosts = Hosts::new(list.into(), "list").unwrap();
        assert_eq!(hosts.own(None), Ok(1));
        let job = Hosts {
            named: Some("n7".to_owned()),
            ..Hosts::new(vec!["n6".to_owned(), "n7.example.org".to_owned()], "job").unwrap()
        };
        assert_eq!(job.own(None), Ok(1));
        assert!(is_called("n7", "N7.example.org") && !is_called("n7.a.org", "n7.b.org"));
        assert!(!is_called("10.0.0.1", "10.0.0.2") && !is_called("n7", "n8"));
    }

    #[test]
    fn an_interface_has_an_address() {
        assert_eq!(resolve("lo:7").unwrap(), SocketAddr::from(([127, 0, 0, 1], 7)));
        assert!(resolve("no-such-interface-or-host.invalid").is_err());
    }
}
