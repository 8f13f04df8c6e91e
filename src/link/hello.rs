//! What both sides say first.
//!
//! The first 14 bytes are the same in every version: magic, major, minor, length of the rest. A later
//! minor may append to the rest, so what follows the known fields is ignored.

/// The version of the wire: major, minor.
pub const VERSION: (u16, u16) = (2, 0);

/// The bytes before the part whose length they give.
pub(crate) const PREFIX: usize = 14;
/// The longest rest.
pub(crate) const LONGEST: usize = 2048;
const MAGIC: &[u8; 8] = b"CHIMLINK";

/// What a hello is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opens the connection of a class, by its index.
    Open(u8),
    /// Asks only who is there.
    Probe,
    /// Accepts.
    Welcome,
    /// Refuses, for `reason`.
    Refuse,
    /// Refuses for the moment: another connection is being made, or closed.
    Later,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Open(class) => class,
            Kind::Probe => 16,
            Kind::Welcome => 17,
            Kind::Refuse => 18,
            Kind::Later => 19,
        }
    }

    fn of(code: u8) -> Option<Kind> {
        Some(match code {
            0..=2 => Kind::Open(code),
            16 => Kind::Probe,
            17 => Kind::Welcome,
            18 => Kind::Refuse,
            19 => Kind::Later,
            _ => return None,
        })
    }
}

/// A handshake's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: (u16, u16),
    pub(crate) kind: Kind,
    pub(crate) node: u64,
    pub(crate) boot: u64,
    /// Whom the sender wants to reach; 0: whoever is there.
    pub(crate) to: u64,
    /// Of a question: the number of this attempt. Of a welcome: the sender's last attempt. It has given
    /// up all up to that number.
    pub(crate) attempt: u64,
    /// The port that the sender listens on.
    pub(crate) port: u16,
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut rest = vec![self.kind.code()];
        for number in [self.node, self.boot, self.to, self.attempt] {
            rest.extend_from_slice(&number.to_le_bytes());
        }
        rest.extend_from_slice(&self.port.to_le_bytes());
        for (text, longest) in [(&self.cluster, 255), (&self.name, 255), (&self.reason, 1024)] {
            let text = cut(text, longest);
            rest.extend_from_slice(&(text.len() as u16).to_le_bytes());
            rest.extend_from_slice(text.as_bytes());
        }
        let mut whole = MAGIC.to_vec();
        for number in [self.version.0, self.version.1, rest.len() as u16] {
            whole.extend_from_slice(&number.to_le_bytes());
        }
        whole.extend_from_slice(&rest);
        whole
    }

    /// Reads a hello from the front of `bytes`; with how many bytes it took. `None`: not all is there.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Hello, usize)>, String> {
        let magic = bytes.len().min(MAGIC.len());
        if bytes[..magic] != MAGIC[..magic] {
            return Err("it does not speak this protocol".to_owned());
        }
        if bytes.len() < PREFIX {
            return Ok(None);
        }
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let version = (short(8), short(10));
        if version.0 != VERSION.0 {
            return Err(format!(
                "it speaks wire version {}.{}, this node {}.{}: use programs of one major version",
                version.0, version.1, VERSION.0, VERSION.1
            ));
        }
        let length = short(12) as usize;
        if length > LONGEST {
            return Err(format!("its hello has {length} bytes, the limit is {LONGEST}"));
        }
        let Some(rest) = bytes.get(PREFIX..PREFIX + length) else { return Ok(None) };
        match Fields(rest).hello(version) {
            Some(hello) => Ok(Some((hello, PREFIX + length))),
            None => Err("its hello is garbled".to_owned()),
        }
    }
}

/// The rest of a hello, from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.short()? as usize;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        // It ends up in messages to people.
        Some(text.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
    }

    fn hello(mut self, version: (u16, u16)) -> Option<Hello> {
        Some(Hello {
            version,
            kind: Kind::of(self.take(1)?[0])?,
            node: self.long()?,
            boot: self.long()?,
            to: self.long()?,
            attempt: self.long()?,
            port: self.short()?,
            cluster: self.text()?,
            name: self.text()?,
            reason: self.text()?,
        })
    }
}

fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
