//! Connections in use: frames, signs of life, the end.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::conn::{Aim, Conn, End, Large, Phase, Up, CLOSING};
use crate::io::{Io, SHORT_TICK, TICK};
use crate::lanes::{lock, State};
use crate::wire::{Content, Frame, HEADER};
use crate::Class;

/// A buffer that is empty again keeps no more memory than this.
const KEEP: usize = 64 << 10;
/// How often the round trip is taken where messages come and go, in times of [`crate::Config::ping_every`].
const ROUND_TRIP: u32 = 8;
/// A message with more bytes than this has memory of its own while it comes.
const LARGE: usize = 64 << 10;

impl Io {
    /// Takes bytes of frames.
    pub(crate) fn frames(&mut self, conn: &mut Conn, bytes: &[u8]) -> Result<(), End> {
        if conn.got.is_empty() {
            let used = self.each(conn, bytes)?;
            conn.got.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        conn.got.extend_from_slice(bytes);
        let mut got = std::mem::take(&mut conn.got);
        let used = self.each(conn, &got)?;
        got.drain(..used);
        if got.is_empty() {
            got.shrink_to(KEEP);
        }
        conn.got = got;
        Ok(())
    }

    /// Handles the whole frames at the front, and begins a large message that is not whole; how many bytes those are.
    fn each(&mut self, conn: &mut Conn, bytes: &[u8]) -> Result<usize, End> {
        let mut at = 0;
        while let Some(header) = bytes[at..].first_chunk::<HEADER>() {
            let longest = self.shared.config.max_message;
            let (frame, length) = Frame::read(*header, longest).map_err(End::Why)?;
            let start = at + HEADER;
            let Some(content) = bytes.get(start..start + length) else {
                if frame == Frame::Message && length > LARGE {
                    conn.large = Some(Large::begin(length, &bytes[start..])?);
                    return Ok(bytes.len());
                }
                break;
            };
            self.frame(conn, frame, content)?;
            at = start + length;
        }
        Ok(at)
    }

    /// Hands over a large message once it is whole.
    pub(crate) fn large(&mut self, conn: &mut Conn) -> Result<(), End> {
        let Some(large) = conn.large.take_if(|large| large.missing() == 0) else { return Ok(()) };
        let Phase::Up(up) = &mut conn.phase else { return Err(End::Done) };
        self.message(up, large.bytes.into());
        Ok(())
    }

    fn message(&self, up: &mut Up, content: Bytes) {
        up.used = Instant::now();
        up.entry.count_received(content.len());
        self.shared.handler.received(&up.peer, up.class, content);
    }

    fn frame(&mut self, conn: &mut Conn, frame: Frame, content: &[u8]) -> Result<(), End> {
        let Phase::Up(up) = &mut conn.phase else { return Err(End::Done) };
        let limit = self.shared.config.queue_bytes;
        match frame {
            Frame::Message => self.message(up, Bytes::copy_from_slice(content)),
            // One that does not fit is not needed: the bytes before it are signs of life.
            Frame::Ping if !up.closing => {
                let _fits = conn
                    .sock
                    .put(Frame::Pong, &Content::of(&[content]), limit)
                    .map_err(End::why)?;
            }
            Frame::Pong if up.class == Class::Control => {
                let Ok(sent) = content.try_into().map(u64::from_le_bytes) else {
                    return Err(End::why("it sent a garbled pong"));
                };
                let now = self.shared.started.elapsed();
                if let Some(took) = now.checked_sub(Duration::from_nanos(sent)) {
                    let mut life = lock(&up.entry.life);
                    life.round_trip =
                        Some(life.round_trip.map_or(took, |old| (old * 7 + took) / 8));
                }
            }
            Frame::Ping | Frame::Pong => {}
            Frame::Bye if up.closing => return Err(End::Done),
            Frame::Bye => self.goodbye(conn)?,
        }
        Ok(())
    }

    /// Says that nothing follows; the connection ends when the other side has said the same, or closed.
    pub(crate) fn goodbye(&mut self, conn: &mut Conn) -> Result<(), End> {
        let Phase::Up(up) = &mut conn.phase else { return Err(End::Done) };
        let mut lane = up.entry.lane(up.class);
        lane.state = State::Closing(conn.sock.token);
        up.closing = true;
        conn.deadline = Instant::now() + CLOSING;
        self.scan_at = self.scan_at.min(Instant::now() + TICK);
        let _fits = conn.sock.put(Frame::Bye, &Content::of(&[]), usize::MAX).map_err(End::why)?;
        Ok(())
    }

    /// Looks after a connection: whether its time is over, it needs a ping, or it is idle. Sees to it that the next look
    /// is not too late.
    pub(crate) fn tend(&mut self, conn: &mut Conn, now: Instant) -> Result<(), End> {
        let config = &self.shared.config;
        let Phase::Up(up) = &mut conn.phase else {
            if now < conn.deadline {
                self.scan_at = self.scan_at.min(now + SHORT_TICK);
                return Ok(());
            }
            return Err(match conn.phase {
                Phase::Dialing(_) => End::why("the connection was not made within 2 s"),
                Phase::Farewell => End::Done,
                _ => End::why("the handshake was not done within 3 s"),
            });
        };
        let progress = conn.sock.progress().unwrap_or(conn.heard);
        let quiet = now.saturating_duration_since(conn.heard.max(progress));
        if up.closing {
            // What the other side still writes is waited for as long as it comes.
            let over = now >= conn.deadline && quiet >= CLOSING;
            self.scan_at = self.scan_at.min(now + TICK);
            return if over { Err(End::why("it did not answer a goodbye")) } else { Ok(()) };
        }
        if quiet >= config.dead_after {
            return Err(End::Why(format!("nothing came for {:.1} s", quiet.as_secs_f64())));
        }
        let last = conn.heard.max(progress);
        // One side asks, as a rule: what it hears is a sign of life for both.
        let every = match self.shared.config.node < up.entry.node {
            true => config.ping_every,
            false => config.ping_every + config.ping_every / 4,
        };
        // What other connections are asked a little later is asked now: that is one time to wake up less.
        let soon = now + config.ping_every / 8;
        let is_quiet = soon >= last.max(up.pinged) + every;
        let is_control = up.class == Class::Control;
        if is_quiet || (is_control && soon >= up.pinged + ROUND_TRIP * config.ping_every) {
            up.pinged = now;
            let nanos = self.shared.started.elapsed().as_nanos() as u64;
            let content = Content { parts: &[&nanos.to_le_bytes()], rest: None };
            let _fits =
                conn.sock.put(Frame::Ping, &content, config.queue_bytes).map_err(End::why)?;
        }
        let used = up.used.max(up.entry.lane(up.class).used);
        if now.saturating_duration_since(used) >= config.idle_close
            && conn.got.is_empty()
            && conn.large.is_none()
            && conn.sock.queued() == 0
        {
            return self.goodbye(conn);
        }
        let ping = last.max(up.pinged) + every;
        self.scan_at = self.scan_at.min(ping).min(last + config.dead_after).max(now + SHORT_TICK);
        Ok(())
    }

    /// What follows from the end of a connection that is not in `conns` any more.
    pub(crate) fn ended(&mut self, conn: Conn, end: End) {
        let handler = self.shared.handler.clone();
        let token = conn.sock.token;
        let now = Instant::now();
        self.scan_at = now;
        match conn.phase {
            Phase::Farewell => {}
            Phase::Incoming => {
                if let End::Why(why) = end {
                    handler.refused(conn.addr, &why);
                }
            }
            Phase::Dialing(aim) | Phase::Asking(aim) => {
                match &aim {
                    Aim::Open(entry, class) => {
                        let mut lane = entry.lane(*class);
                        if matches!(lane.state, State::Dialing(dialing) if dialing == token) {
                            lane.state = State::Down;
                            lane.backoff.fail(now);
                            if let End::Why(why) = &end {
                                lane.why = why.clone();
                            }
                        }
                    }
                    Aim::Probe => {
                        let mut seeds = lock(&self.shared.seeds);
                        if let Some(seed) = seeds.iter_mut().find(|seed| seed.addr == conn.addr) {
                            seed.asking = false;
                            seed.backoff.fail(now);
                        }
                    }
                }
                if let End::Why(why) = end {
                    handler.refused(conn.addr, &why);
                }
            }
            Phase::Up(up) => {
                let mut lane = up.entry.lane(up.class);
                let ours = match &lane.state {
                    State::Up(sock) => sock.token == token,
                    State::Closing(closing) => *closing == token,
                    _ => false,
                };
                if ours {
                    lane.state = State::Down;
                }
                drop(lane);
                if !up.entry.is_up() {
                    lock(&up.entry.life).connected = None;
                }
                if let End::Why(why) = end {
                    up.entry.breaks.fetch_add(1, Relaxed);
                    handler.broken(&up.peer, up.class, &why);
                }
            }
        }
    }
}
