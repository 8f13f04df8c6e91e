//! Tasks as bytes, both valid and invalid.

use chimaera::abi::*;

use super::link::Link;
use super::random::Random;

/// Size of a string or vector in a task.
pub const VECTOR: usize = size_of::<chi_shm_vector>();

/// A string or vector in a task.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its offset.
    pub at: usize,
    /// Whether its elements hold strings or vectors themselves.
    pub nested: bool,
}

const fn leaf(at: usize) -> Part {
    Part { at, nested: false }
}

const fn nested(at: usize) -> Part {
    Part { at, nested: true }
}

/// The layout of a method's task.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The method.
    pub method: u32,
    /// The size of the task in bytes.
    pub size: usize,
    /// The strings and vectors in the task.
    pub parts: &'static [Part],
    /// The offset of a number in the task, and the largest value for which the method is quick.
    pub number: Option<(usize, u64)>,
}

const fn shape(method: u32, size: usize, parts: &'static [Part]) -> Shape {
    Shape { method, size, parts, number: None }
}

const fn numbered(number: (usize, u64), shape: Shape) -> Shape {
    Shape { number: Some(number), ..shape }
}

/// The admin pool's tasks that change nothing: find and describe.
pub const ADMIN: &[Shape] = &[
    shape(CHI_ADMIN_FIND_POOL, 112, &[leaf(64)]),
    numbered((64, 4), shape(CHI_ADMIN_DESCRIBE, 112, &[leaf(72)])),
    shape(CHI_ADMIN_FIND_POOL_OF, 200, &[leaf(64), leaf(104), leaf(144)]),
];

/// `chimaera:kv`.
pub const KV: &[Shape] = &[
    shape(10, 152, &[leaf(64), leaf(104)]),
    shape(11, 144, &[leaf(64), leaf(104)]),
    shape(12, 112, &[leaf(64)]),
    numbered((104, 100), shape(13, 152, &[leaf(64), nested(112)])),
    shape(14, 72, &[]),
];

/// `example:mod_name`.
pub const MOD_NAME: &[Shape] = &[
    numbered((64, 3), shape(10, 152, &[leaf(72), leaf(112)])),
    numbered((64, u64::MAX), shape(11, 152, &[leaf(72), leaf(112)])),
];

/// `test:nested`: strings and vectors at every depth.
pub const NESTED: &[Shape] =
    &[shape(10, 320, &[leaf(80), nested(120), nested(160), leaf(200), leaf(240), leaf(280)])];

/// The method of `test:nested` that suspends itself for an hour, with its vectors.
pub const HOLD: Shape = Shape { method: 11, ..NESTED[0] };

/// `test:throws_method`: echo, and yield a few times.
pub const THROWS: &[Shape] = &[
    shape(10, 64, &[]),
    shape(13, 144, &[leaf(64), leaf(104)]),
    numbered((64, 50), shape(14, 72, &[])),
];

/// The header of a task as bytes.
pub fn header(pool: chi_pool_id, method: u32) -> Vec<u8> {
    let task =
        chi_task { pool_: pool, method_: method, state_: CHI_TASK_IN_FLIGHT, ..chi_task::new() };
    // SAFETY: the struct has no padding, so all its 64 bytes are initialised.
    let bytes = unsafe { std::mem::transmute::<chi_task, [u8; size_of::<chi_task>()]>(task) };
    bytes.to_vec()
}

/// A string or vector as bytes.
pub fn vector(shm: u64, size: u64, capacity: u64) -> [u8; VECTOR] {
    let mut bytes = [0; VECTOR];
    // The private address is ignored by the other side, so any value will do.
    let words = [shm, 0x4141_4141_4141_4141, size, capacity, u64::MAX];
    for (at, word) in words.iter().enumerate() {
        bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Where an attacker keeps its data.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Task slots of `SLOT` bytes each.
    pub slots: u64,
    /// Number of slots.
    pub n_slots: u64,
    /// An area of strings and vectors, for vectors that contain them.
    pub farm: u64,
    /// Size of that area.
    pub farm_len: u64,
}

/// Size of a slot.
pub const SLOT: u64 = 512;

impl Field {
    /// The areas of a session's segment.
    pub fn of(link: &Link) -> Field {
        let slots = link.layout().client_arena;
        Field { slots, n_slots: 64, farm: slots + 64 * SLOT, farm_len: 32 << 10 }
    }

    /// A slot.
    pub fn slot(&self, index: u64) -> u64 {
        self.slots + index % self.n_slots * SLOT
    }
}

/// A string or vector as an attacker would write it: often valid, often almost valid.
pub fn odd_vector(random: &mut Random, link: &Link, field: &Field, own: u64) -> [u8; VECTOR] {
    let layout = *link.layout();
    let room = layout.size - layout.client_arena;
    let place = layout.client_arena + random.below(room - 4096) / 64 * 64;
    let small = random.below(4096);
    match random.below(17) {
        // Valid, small or large.
        0..=3 => vector(place, small, 4096),
        4 => {
            let size = random.below((layout.size - place).min(1 << 20));
            vector(place, size, size)
        }
        5 => vector(CHI_SHM_NULL, small, small),
        // In the task itself, overlapping its completion word.
        6 => vector(own + random.below(8) * 8, small % 256, 256),
        // In the rings, before them, at the very end, beyond it.
        7 => vector(random.below(layout.client_arena), small, 4096),
        8 => vector(layout.size - random.below(64), small, 4096),
        9 => vector(layout.size + random.below(1 << 30), small, 4096),
        // A range that wraps around.
        10 => vector(place, u64::MAX - random.below(4096), u64::MAX - random.below(4096)),
        // Longer than its capacity.
        11 => vector(place, small + 4097, 4096),
        12 => vector(place + 1 + random.below(63), small, 4096),
        // In another segment, or in the runtime's private memory.
        13 => vector(place | (1 + random.below(0xffff)) << CHI_SHM_OFFSET_BITS, small, 4096),
        // Vectors of vectors, which change concurrently.
        14 => {
            let at = field.farm + random.below(field.farm_len / 2) / 64 * 64;
            let size = random.below(field.farm_len / 4);
            vector(at, size, size)
        }
        // In published memory.
        15 => {
            let offset = random.below(1 << 22) / 64 * 64;
            let number = random.below(3) << CHI_SHM_OFFSET_BITS;
            let shm = CHI_SHM_PUBLISHED << CHI_SHM_PUBLISHED_SHIFT | number | offset;
            let mut vector = vector(shm, small, 4096);
            vector[8..16].copy_from_slice(&(PUBLISHED_AT + offset).to_ne_bytes());
            vector
        }
        _ => vector(random.next(), random.next(), random.next()),
    }
}

/// Where an attacker says that it has mapped published memory.
pub const PUBLISHED_AT: u64 = 1 << 40;

/// A task of this shape as an attacker would write it.
pub fn odd_task(
    random: &mut Random,
    link: &Link,
    field: &Field,
    own: u64,
    pool: chi_pool_id,
    shape: &Shape,
) -> Vec<u8> {
    let mut bytes = header(pool, shape.method);
    bytes.resize(shape.size.next_multiple_of(8), 0);
    if random.once_in(8) {
        // The domain query.
        bytes[24..32].copy_from_slice(&random.next().to_ne_bytes());
    }
    if random.once_in(2) {
        let at = std::mem::offset_of!(chi_task, task_flags_);
        bytes[at..at + 4].copy_from_slice(&CHI_TASK_TAKES_LEASES.to_ne_bytes());
    }
    if let Some((at, most)) = shape.number {
        let number = random.below(most);
        bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes());
    }
    for part in shape.parts {
        let vector = if part.nested && !random.once_in(4) {
            let at = field.farm + random.below(field.farm_len / 2) / 64 * 64;
            let size = random.below(field.farm_len / 2);
            vector(at, size, size)
        } else {
            odd_vector(random, link, field, own)
        };
        bytes[part.at..part.at + VECTOR].copy_from_slice(&vector);
    }
    bytes
}

/// A valid task of this shape, in which every string is "x".
pub fn sound_task(link: &Link, field: &Field, pool: chi_pool_id, shape: &Shape) -> Vec<u8> {
    let mut bytes = header(pool, shape.method);
    bytes.resize(shape.size.next_multiple_of(8), 0);
    link.store(field.farm, u64::from_ne_bytes(*b"xxxxxxxx"));
    if let Some((at, most)) = shape.number {
        bytes[at..at + 8].copy_from_slice(&most.min(1).to_ne_bytes());
    }
    for part in shape.parts.iter().filter(|part| !part.nested) {
        bytes[part.at..part.at + VECTOR].copy_from_slice(&vector(field.farm, 1, 64));
    }
    bytes
}
