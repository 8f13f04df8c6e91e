//! The names by which a server may be asked.

use std::net::{IpAddr, SocketAddr};

/// The names by which a server may be asked: `localhost`, the addresses of loopback, if it listens for other machines
/// all other addresses, too, and names of its own.
///
/// Otherwise a page on the web could give its own name the server's address, and what a browser then fetches from
/// there would be the page's to read (DNS rebinding).
pub struct OwnNames {
    is_local: bool,
    others: Vec<String>,
}

impl OwnNames {
    /// Those of a server that listens at this address. `others` are names of its own.
    pub fn new(listens: SocketAddr, others: Vec<String>) -> OwnNames {
        OwnNames { is_local: listens.ip().is_loopback(), others }
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
        let names = OwnNames::new(([127, 0, 0, 1], 9464).into(), vec!["proxied".to_owned()]);
        for own in [
            "proxied",
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
