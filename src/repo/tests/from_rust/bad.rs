//! None of this can be exported to other languages.

use std::cell::Cell;

use chimaera::{Pod, ShmString};

const N: usize = 4;

#[chimaera::task]
pub struct FirstTask {
    pub text: String,
    pub list: [u8; N],
    pub raw: *const u8,
    #[cfg(unix)]
    pub only: Cell<u32>,
    pub hole: Hole,
    pub status: Cell<i32>,
}

#[derive(Clone, Copy, Pod)]
pub struct Hole {
    pub size: u64,
}

#[chimaera::task]
pub struct PairTask(pub ShmString, pub ShmString);

#[chimaera::task]
#[derive(Debug)]
pub struct ShownTask<T> {
    pub text: T,
}

#[chimaera::task]
pub struct LastTask {
    pub size: Cell<usize>,
}
