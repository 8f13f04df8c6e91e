//! The names by which a server may be asked.

use std::net::{IpAddr, SocketAddr};

/// The names by which a server may be asked. If it listens on the machine itself only, these are `localhost` and the
/// addresses of loopback; otherwise also all other addresses, and the names of the machine.
///
/// Otherwise a page on the web could give its own name the server's address, and what a browser then fetches from
/// there would be the page's to read (DNS rebinding).
pub struct OwnNames {
    is_local: bool,
    others: Vec<String>,
}

impl OwnNames {
    /// Those of a server that listens at this address. `others` are names of the machine.
    pub fn new(listens: SocketAddr, others: Vec<String>) -> OwnNames {
        let is_local = listens.ip().is_loopback();
        OwnNames { is_local, others: if is_local { Vec::new() } else { others } }
    }

    /// Whether a `Host` header names it.
    pub(crate) fn have(&self, header: &str) -> bool {
        let name = without_port(header);
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return ip.is_loopback() || !self.is_local;
        }
        let name = name.trim_end_matches('.');
        let is = |own: &str| own.eq_ignore_ascii_case(name);
        is("localhost") || self.others.iter().any(|own| is(own))
    }
}

fn without_port(header: &str) -> &str {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match header.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => header,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_server_is_asked_by_local_names_only() {
        let names = OwnNames::new(([127, 0, 0, 1], 9464).into(), vec!["node1".to_owned()]);
        for own in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1:9464",
            "127.1.2.3",
            "[::1]:9464",
            "[::1]",
            "localhost.",
        ] {
            assert!(names.have(own), "{own}");
        }
        for other in [
            "evil.example",
            "node1",
            "10.0.0.1:9464",
            "127.0.0.1.evil.example",
            "",
            ":9464",
            "localhost:x",
        ] {
            assert!(!names.have(other), "{other}");
        }
    }

    #[test]
    fn an_open_server_is_asked_by_addresses_and_the_names_of_the_machine() {
        let names = OwnNames::new(([0, 0, 0, 0], 9464).into(), vec!["node1".to_owned()]);
        for own in ["node1", "Node1:9464", "10.0.0.1:9464", "[fe80::1]:9464", "localhost"] {
            assert!(names.have(own), "{own}");
        }
        assert!(!names.have("evil.example:9464"));
    }
}
