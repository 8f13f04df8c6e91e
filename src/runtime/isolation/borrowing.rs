//! The segments of clients in a module host: it maps those that the daemon lends it.

use std::os::fd::{AsFd, OwnedFd};

use chimaera_abi::{CHI_INVALID, CHI_IO, CHI_NO_SPACE};
use chimaera_ipc::layout::{Layout, SHARES};
use chimaera_ipc::segment::Mapping;
use chimaera_ipc::wire::{Kind, Message};

use super::links::no_guard;
use crate::failure::Failure;
use crate::host::{Peer, MOST_SEGMENTS};
use crate::scheduler::{ControlCommand, Shared};
use crate::session::BorrowedSegment;
use crate::sys::{has_addresses_for, Guard};

/// Maps a segment that the daemon lends this module host.
pub(super) fn borrow_segment(
    shared: &Shared,
    offer: &Message,
    fds: Vec<OwnedFd>,
) -> Result<(), Failure> {
    let invalid = |what| Failure::new(CHI_INVALID, format!("a segment that is lent {what}"));
    let [_, number, size, share, ..] = offer.words;
    let number = u16::try_from(number).ok().filter(|number| (1..=MOST_SEGMENTS).contains(number));
    let number = number.ok_or_else(|| invalid("has an invalid number"))?;
    let layout = Layout::divided(size, share);
    let segment = fds.into_iter().next().ok_or_else(|| invalid("has not come with its file"))?;
    if layout.size != size || !SHARES.contains(&share) {
        return Err(invalid("makes no sense"));
    }
    if !has_addresses_for(size) {
        let mib = size >> 20;
        let message = format!("the limit on its addresses has no room for a segment of {mib} MiB");
        return Err(Failure::new(CHI_NO_SPACE, message));
    }
    let io = |error| Failure::new(CHI_IO, format!("mapping a segment: {error}"));
    let mapping = Mapping::new(segment.as_fd(), layout).map_err(io)?;
    // Only the client and the daemon use the rings: a stray access here ends the host, and harms nobody else.
    mapping.hide_rings().map_err(io)?;
    let guard = Guard::new(&mapping, shared.control.as_fd()).ok_or_else(no_guard)?;
    match shared.hosts.borrowed.add(number, BorrowedSegment::new(guard, mapping)) {
        true => Ok(()),
        false => Err(invalid("has a number that is in use")),
    }
}

/// In a module host, tells the daemon of segments in which there was no memory for a page: it ends their
/// sessions.
pub(crate) fn tell_of_faults(shared: &Shared) {
    let Some(daemon) = shared.hosts.daemon() else { return };
    for number in shared.hosts.borrowed.take_faulted() {
        daemon.tell(&Message::new(Kind::Faulted, &[number.into()]), &[]);
    }
}

/// In the daemon, ends the session whose segment has this number in a host which has had no memory for a page of
/// it.
pub(super) fn end_faulted(shared: &Shared, host: &Peer, number: u64) {
    // It may have ended, or be about to.
    let Some(session) = host.note_fault(number) else { return };
    let pid = host.pid;
    tracing::warn!(session, pid, "a module host had no memory for a page of the segment");
    let reason = "no memory for a page of the segment in a module host".to_owned();
    shared.command(ControlCommand::EndSession { session, reason });
}
