//! Module hosts: processes that run the containers of one pool each. Here are both ends of what
//! connects a host and its daemon, without the workers that use it: links, parcels, segments that are
//! lent, peers and the table of hosts. Imports `sys`, `config`, `module`, `session`, `sync` and `task`.

mod lending;
mod link;
mod parcel;
mod peer;
mod table;

pub(crate) use self::lending::{Lender, MOST_SEGMENTS};
pub(crate) use self::link::Link;
pub(crate) use self::parcel::{Parcel, Results};
pub(crate) use self::peer::{text_from_memfd, text_in_memfd, Answer, LinkOf, Peer};
pub(crate) use self::table::{First, Host, Hosts, Phase};
