//! How messages are sent. The payload of a call or of its answer comes last, and takes what is left: so it need not
//! be copied to be sent. Whoever carries a message says how long it is.

use bytes::Bytes;

use crate::agree::Packet;
use crate::calls::{Answer, Call, Payload, Place, Verdict};
use crate::ids::{ContainerId, Epoch, Index, Life};
use crate::message::Message;
use crate::state::{Proposal, MAX_NAME};
use crate::wire::{wire_struct, Malformed, Wire};

wire_struct!(Place { caller, server, slot, turn });

const PACKET: u8 = 0;
const JOIN: u8 = 1;
const PROPOSE: u8 = 2;
const RENEW: u8 = 3;
const GRANT: u8 = 4;
const REMOVED: u8 = 5;
const CALL: u8 = 6;
const ANSWER: u8 = 7;
const CANCEL: u8 = 8;
const NAME_TAKEN: u8 = 9;
const KNOWN: u8 = 10;

const WORKING: u8 = 0;
const DONE: u8 = 1;
const MOVED: u8 = 2;
const BUSY: u8 = 3;
const NO_SUCH_CONTAINER: u8 = 4;
const NOT_RUN: u8 = 5;
const MAY_HAVE_RUN: u8 = 6;

impl Message {
    /// The largest message that is no call or answer, in bytes. A larger one is malformed.
    pub const MAX_WORD: usize = 4 << 20;

    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(payload) = self.encode_head(&mut bytes) {
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    /// Appends all of the message's bytes but the payload, which has to follow.
    ///
    /// ```
    /// use chimaera_cluster::{BootId, Life, Message, NodeId};
    ///
    /// let message = Message::Removed { life: Life { node: NodeId(1), boot: BootId(2) } };
    /// let mut head = Vec::new();
    /// assert_eq!(message.encode_head(&mut head), None);
    /// assert_eq!(Message::decode(&head.into()), Ok(message));
    /// ```
    pub fn encode_head<'a>(&'a self, to: &mut Vec<u8>) -> Option<&'a Payload> {
        match self {
            Message::Packet(packet) => put(to, PACKET, packet),
            Message::Join { life, name, address, hops } => {
                put(to, JOIN, life);
                name.put(to);
                address.put(to);
                hops.put(to);
            }
            Message::Propose(proposal) => put(to, PROPOSE, proposal),
            Message::Renew { life, number } => {
                put(to, RENEW, life);
                number.put(to);
            }
            Message::Grant { life, number, needs } => {
                put(to, GRANT, life);
                number.put(to);
                needs.put(to);
            }
            Message::Removed { life } => put(to, REMOVED, life),
            Message::NameTaken { life } => put(to, NAME_TAKEN, life),
            Message::Known { life, of_cluster } => {
                put(to, KNOWN, life);
                of_cluster.put(to);
            }
            Message::Call(call) => {
                put(to, CALL, &call.place);
                call.container.put(to);
                call.epoch.put(to);
                call.remaining.put(to);
                return Some(&call.payload);
            }
            Message::Answer(answer) => {
                put(to, ANSWER, &answer.place);
                answer.epoch.put(to);
                return put_verdict(&answer.verdict, to);
            }
            Message::Cancel(place) => put(to, CANCEL, place),
        }
        None
    }

    /// The message that all of these bytes are. The payload of a call or an answer is a part of them, and keeps them.
    ///
    /// # Errors
    ///
    /// Bytes that [`Message::encode`] never makes, whatever they are: what is allocated on the way is a small
    /// multiple of them.
    pub fn decode(bytes: &Bytes) -> Result<Message, Malformed> {
        let from = &mut &bytes[..];
        let size = from.len();
        let kind = u8::take(from)?;
        if size > Message::MAX_WORD && !matches!(kind, CALL | ANSWER) {
            return Err(Malformed);
        }
        let message = match kind {
            PACKET => Message::Packet(Packet::take(from)?),
            JOIN => Message::Join {
                life: Life::take(from)?,
                name: take_name(from)?,
                address: take_name(from)?,
                hops: u8::take(from)?,
            },
            PROPOSE => {
                let proposal = Proposal::take(from)?;
                proposal.command.check().map_err(|_| Malformed)?;
                Message::Propose(proposal)
            }
            RENEW => Message::Renew { life: Life::take(from)?, number: u64::take(from)? },
            GRANT => Message::Grant {
                life: Life::take(from)?,
                number: u64::take(from)?,
                needs: Index::take(from)?,
            },
            REMOVED => Message::Removed { life: Life::take(from)? },
            NAME_TAKEN => Message::NameTaken { life: Life::take(from)? },
            KNOWN => Message::Known { life: Life::take(from)?, of_cluster: bool::take(from)? },
            CALL => Message::Call(Call {
                place: Place::take(from)?,
                container: ContainerId::take(from)?,
                epoch: Epoch::take(from)?,
                remaining: Wire::take(from)?,
                payload: rest(bytes, from),
            }),
            ANSWER => Message::Answer(Answer {
                place: Place::take(from)?,
                epoch: Epoch::take(from)?,
                verdict: take_verdict(bytes, from)?,
            }),
            CANCEL => Message::Cancel(Place::take(from)?),
            _ => return Err(Malformed),
        };
        if from.is_empty() {
            Ok(message)
        } else {
            Err(Malformed)
        }
    }
}

fn put(to: &mut Vec<u8>, kind: u8, value: &impl Wire) {
    to.push(kind);
    value.put(to);
}

fn take_name(from: &mut &[u8]) -> Result<String, Malformed> {
    Some(String::take(from)?).filter(|name| name.len() <= MAX_NAME).ok_or(Malformed)
}

/// What is left of the bytes, without a copy.
fn rest(bytes: &Bytes, from: &mut &[u8]) -> Payload {
    bytes.slice_ref(std::mem::take(from))
}

fn put_verdict<'a>(verdict: &'a Verdict, to: &mut Vec<u8>) -> Option<&'a Payload> {
    match verdict {
        Verdict::Working => to.push(WORKING),
        Verdict::Done(result) => {
            to.push(DONE);
            return Some(result);
        }
        Verdict::Moved { owner, epoch } => {
            put(to, MOVED, owner);
            epoch.put(to);
        }
        Verdict::Busy => to.push(BUSY),
        Verdict::NoSuchContainer => to.push(NO_SUCH_CONTAINER),
        Verdict::NotRun => to.push(NOT_RUN),
        Verdict::MayHaveRun => to.push(MAY_HAVE_RUN),
    }
    None
}

fn take_verdict(bytes: &Bytes, from: &mut &[u8]) -> Result<Verdict, Malformed> {
    Ok(match u8::take(from)? {
        WORKING => Verdict::Working,
        DONE => Verdict::Done(rest(bytes, from)),
        MOVED => Verdict::Moved { owner: Wire::take(from)?, epoch: Epoch::take(from)? },
        BUSY => Verdict::Busy,
        NO_SUCH_CONTAINER => Verdict::NoSuchContainer,
        NOT_RUN => Verdict::NotRun,
        MAY_HAVE_RUN => Verdict::MayHaveRun,
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests;
