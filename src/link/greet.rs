//! Handshakes: who may connect, and which of two connections stays.
//!
//! When two nodes connect to each other at once, the connection that the node with the smaller id
//! makes stays: that node answers "later", the other accepts and gives up its own attempt. Neither
//! sends a message before an attempt was accepted, so none is lost. What was given up may still be
//! read later, so attempts are numbered, and each side knows which are over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::conn::{Aim, Conn, End, Phase, Up, FAREWELL};
use crate::hello::{Hello, Kind, VERSION};
use crate::io::Io;
use crate::lanes::{lock, Backoff, Entry, State};
use crate::queue::Queue;
use crate::{Class, Peer};

impl Io {
    pub(crate) fn hello(&self, kind: Kind, to: u64, reason: &str) -> Vec<u8> {
        let config = &self.shared.config;
        Hello {
            version: VERSION,
            kind,
            node: config.node,
            boot: config.boot,
            to,
            attempt: self.attempt,
            port: self.shared.port,
            cluster: config.cluster.clone(),
            name: config.name.clone(),
            reason: reason.to_owned(),
        }
        .encode()
    }

    /// Takes bytes of a handshake; what follows it is left in `conn.got`.
    pub(crate) fn greet(&mut self, conn: &mut Conn, bytes: &[u8]) -> Result<(), End> {
        conn.got.extend_from_slice(bytes);
        let incoming = matches!(conn.phase, Phase::Incoming);
        match Hello::decode(&conn.got) {
            Ok(None) => Ok(()),
            Ok(Some((hello, used))) => {
                conn.got.drain(..used);
                if incoming {
                    self.meet(conn, hello)
                } else {
                    self.answered(conn, hello)
                }
            }
            Err(why) if incoming => {
                let told = format!("cannot read the hello: {why}");
                self.shared.handler.refused(conn.addr, &why);
                self.dismiss(conn, Kind::Refuse, &told)
            }
            Err(why) => Err(End::Why(why)),
        }
    }

    /// Answers with a refusal, and waits until the other side has read it.
    fn dismiss(&self, conn: &mut Conn, kind: Kind, reason: &str) -> Result<(), End> {
        let sent = conn.sock.put_raw(&self.hello(kind, 0, reason), Queue::default());
        conn.phase = Phase::Farewell;
        conn.deadline = Instant::now() + FAREWELL;
        conn.got = Vec::new();
        sent.map_err(End::why)
    }

    fn refuse(&self, conn: &mut Conn, reason: &str) -> Result<(), End> {
        self.shared.handler.refused(conn.addr, &format!("refused: {reason}"));
        self.dismiss(conn, Kind::Refuse, reason)
    }

    /// What is wrong with who is at the other side, if anything is.
    fn wrong(&self, conn: &Conn, hello: &Hello) -> Option<String> {
        let config = &self.shared.config;
        let node = hello.node;
        if hello.cluster != config.cluster {
            return Some(format!(
                "node {node} is of cluster '{}', this is '{}'",
                hello.cluster, config.cluster
            ));
        }
        if node == 0 || node == config.node {
            return Some(format!("node {node} has the id of this node: each needs its own"));
        }
        if !conn.sock.is_of(node) {
            return Some(format!("its certificate is not that of node {node}"));
        }
        let entry = self.shared.peer(node)?;
        let life = lock(&entry.life);
        let known = life.peer.as_ref()?.boot;
        (known > hello.boot)
            .then(|| format!("life {node}.{} is over, there has been {node}.{known}", hello.boot))
    }

    /// Somebody has connected and said who he is.
    fn meet(&mut self, conn: &mut Conn, hello: Hello) -> Result<(), End> {
        if let Some(wrong) = self.wrong(conn, &hello) {
            return self.refuse(conn, &wrong);
        }
        let own = self.shared.config.node;
        if hello.to != 0 && hello.to != own {
            let reason = format!("this is node {own}, not {}", hello.to);
            return self.refuse(conn, &reason);
        }
        let class = match hello.kind {
            Kind::Open(class) => Class::ALL[class as usize],
            Kind::Probe => return self.dismiss(conn, Kind::Welcome, ""),
            _ => return self.refuse(conn, "the hello is an answer to none"),
        };
        let addr = SocketAddr::new(conn.addr.ip(), hello.port);
        let entry = match self.shared.peer(hello.node) {
            Some(entry) => entry,
            None => match self.shared.know(hello.node, addr) {
                Ok(entry) => entry,
                Err(e) => return self.refuse(conn, &e.to_string()),
            },
        };
        self.end_former_life(&entry, &hello);
        let same = lock(&entry.life).peer.as_ref().is_some_and(|peer| peer.boot == hello.boot);
        let mut lane = entry.lane(class);
        if same && hello.attempt <= lane.stale {
            // It was read late; whoever sent it has given it up.
            drop(lane);
            return self.dismiss(conn, Kind::Later, "this attempt was given up");
        }
        let former = match &lane.state {
            State::Down => None,
            State::Dialing(_) if own < hello.node => {
                drop(lane);
                return self.dismiss(conn, Kind::Later, "this node connects itself");
            }
            State::Closing(_) => {
                drop(lane);
                return self.dismiss(conn, Kind::Later, "the former connection is being closed");
            }
            State::Dialing(token) => {
                self.conns.remove(token);
                lane.state = State::Down;
                None
            }
            // The other side has none, or it would not connect.
            State::Up(sock) => Some(sock.token),
        };
        drop(lane);
        if let Some(token) = former {
            self.end(token, End::why("the node has made another connection"));
        }
        let welcome = self.hello(Kind::Welcome, hello.node, "");
        self.open(conn, entry.clone(), class, &hello, addr, Some(&welcome))
    }

    /// Somebody has answered this side's hello.
    fn answered(&mut self, conn: &mut Conn, hello: Hello) -> Result<(), End> {
        let who = format!("node {} ('{}')", hello.node, hello.name);
        match hello.kind {
            Kind::Welcome => {}
            Kind::Later => return Err(End::Later),
            Kind::Refuse => return Err(End::Why(format!("{who} refused: {}", hello.reason))),
            _ => return Err(End::Why(format!("{who} answered with a question"))),
        }
        if let Some(wrong) = self.wrong(conn, &hello) {
            return Err(End::Why(wrong));
        }
        let Phase::Asking(aim) = &conn.phase else { return Err(End::Done) };
        let (entry, class) = match aim {
            Aim::Open(entry, class) => (entry.clone(), *class),
            Aim::Probe => {
                let entry = self.shared.know(hello.node, conn.addr).map_err(End::why)?;
                lock(&self.shared.seeds).retain(|seed| seed.addr != conn.addr);
                entry.lane(Class::Control).since.get_or_insert_with(Instant::now);
                self.scan_at = Instant::now();
                return Err(End::Done);
            }
        };
        if entry.node != hello.node {
            return Err(End::Why(format!("{who} is there, not node {}", entry.node)));
        }
        self.end_former_life(&entry, &hello);
        if !matches!(entry.lane(class).state, State::Dialing(token) if token == conn.sock.token) {
            return Err(End::Done);
        }
        let addr = conn.addr;
        self.open(conn, entry, class, &hello, addr, None)
    }

    /// Ends the connections of an earlier life of the node.
    fn end_former_life(&mut self, entry: &Entry, hello: &Hello) {
        let former = lock(&entry.life).peer.as_ref().is_some_and(|peer| peer.boot != hello.boot);
        if !former {
            return;
        }
        let old: Vec<u64> = self
            .conns
            .values()
            .filter(|conn| matches!(&conn.phase, Phase::Up(up) if up.entry.node == entry.node))
            .map(|conn| conn.sock.token)
            .collect();
        for token in old {
            self.end(token, End::why("the node has started again"));
        }
    }

    /// From now on the connection is the one of its class.
    fn open(
        &mut self,
        conn: &mut Conn,
        entry: Arc<Entry>,
        class: Class,
        hello: &Hello,
        addr: SocketAddr,
        welcome: Option<&[u8]>,
    ) -> Result<(), End> {
        let was_up = entry.is_up();
        let now = Instant::now();
        let (peer, known) = {
            let mut life = lock(&entry.life);
            let known = life.peer.clone().filter(|peer| peer.boot == hello.boot);
            let peer = known.clone().unwrap_or_else(|| {
                // What was learned is kept, unless the node may have moved since.
                let mut place = lock(&entry.addr);
                if life.peer.is_some() || place.is_none() {
                    *place = Some(addr);
                }
                drop(place);
                Arc::new(Peer {
                    node: hello.node,
                    boot: hello.boot,
                    name: hello.name.clone(),
                    addr,
                    version: hello.version,
                })
            });
            life.peer = Some(peer.clone());
            life.heard = Some(now);
            if !was_up {
                life.connected = Some(now);
            }
            (peer, known.is_some())
        };
        conn.phase = Phase::Up(Up {
            entry: entry.clone(),
            peer: peer.clone(),
            class,
            closing: false,
            used: now,
            // At once, so that the round trip is known soon.
            pinged: now.checked_sub(self.shared.config.ping_every).unwrap_or(now),
        });
        if !(was_up && known) {
            self.shared.handler.connected(&peer);
        }
        let mut lane = entry.lane(class);
        let waiting = std::mem::take(&mut lane.waiting);
        lane.since = None;
        lane.stale = hello.attempt;
        lane.backoff = Backoff::default();
        lane.used = now;
        lane.state = State::Up(conn.sock.clone());
        let sent = conn.sock.put_raw(welcome.unwrap_or_default(), waiting);
        drop(lane);
        self.scan_at = now;
        sent.map_err(End::why)
    }
}
