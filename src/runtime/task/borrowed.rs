//! Strings and vectors in segments that the daemon has lent its module host: a task refers to them by the number
//! of the segment and the offset there.

use chimaera_abi::{chi_shm_ptr, chi_shm_vector, CHI_INVALID, CHI_SHM_OFFSET_BITS};

use super::record::{Record, Taken};
use crate::failure::Failure;
use crate::module::Field;
use crate::session::Session;

/// Takes a string or vector that is not in the session's segment. It has to be in one that the client, the daemon
/// of this module host, has lent.
#[cold]
pub(super) fn take(
    record: &mut Record,
    session: &Session,
    vector: &mut chi_shm_vector,
    field: &Field,
) -> Result<(), Failure> {
    let outside = || {
        let at = field.offset;
        let message =
            format!("the string or vector at offset {at} of the task points outside the segment");
        Failure::new(CHI_INVALID, message)
    };
    let number = vector.shm_ >> CHI_SHM_OFFSET_BITS;
    // Vectors of strings and vectors are always copied.
    if number == 0 || !field.inner.is_empty() {
        return Err(outside());
    }
    let segment = session.borrowed(number).ok_or_else(outside)?;
    let layout = *segment.mapping.layout();
    let start = vector.shm_ & ((1 << CHI_SHM_OFFSET_BITS) - 1);
    let from = segment.mapping.find(start, vector.capacity_).filter(|_| {
        start >= layout.client_arena
            && vector.size_ <= vector.capacity_
            && start.is_multiple_of(field.elem_align)
    });
    let data = from.ok_or_else(outside)?.as_ptr();
    record.copies.push(Taken { data, original: *vector, segment: Some(segment) });
    vector.data_ = data.cast();
    if start >= layout.runtime_arena {
        // As in the session's own segment: a method may read it.
        vector.capacity_ = 0;
    }
    Ok(())
}

/// The reference by which the client has named the bytes at this address, if they are in a segment that it has
/// lent. What was taken must be sorted.
#[cold]
pub(super) fn reference_to(record: &Record, data: *mut u8) -> Option<chi_shm_ptr> {
    let taken = record.taken_at(data)?;
    taken.segment.is_some().then_some(taken.original.shm_)
}

#[cfg(test)]
mod tests {
    use crate::module::Transfer;
    use std::os::fd::AsFd;
    use std::sync::Arc;

    use chimaera_abi::*;
    use chimaera_ipc::ring::Producer;
    use chimaera_ipc::segment::Mapping;

    use super::*;
    use crate::session::{Borrowed, BorrowedSegment, Completions, SessionRef};
    use crate::sys::Guard;
    use crate::task::{marshal, Origin, Record};

    const HEADER: usize = size_of::<chi_task>();
    const SIZE: usize = HEADER + size_of::<chi_shm_vector>();
    const NUMBER: u16 = 3;

    fn eventfd() -> std::os::fd::OwnedFd {
        rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap()
    }

    /// A session of a daemon that has lent the segment of this client.
    fn link(client: &Session) -> (SessionRef, Arc<Borrowed>) {
        let link = Session::without_client(1).unwrap();
        let borrowed = Arc::new(Borrowed::default());
        let mapping = Mapping::new(client.segment.as_fd(), *client.mapping.layout()).unwrap();
        mapping.hide_rings().unwrap();
        let guard = Guard::new(&mapping, link.doorbell.as_fd()).unwrap();
        assert!(borrowed.add(NUMBER, BorrowedSegment::new(guard, mapping)));
        let ring = Producer::new(link.mapping.ring(link.mapping.layout().rings - 1));
        link.tell_completions(Completions::new(ring, eventfd(), Some(borrowed.clone()), 0));
        (link, borrowed)
    }

    fn numbers(elem_align: u64) -> Field {
        Field {
            offset: HEADER,
            elem_size: elem_align,
            elem_align,
            inner: Vec::new(),
            sent: Transfer::BOTH,
        }
    }

    /// Takes a task from a session with this vector; the vector as methods see it.
    fn taken(
        session: &SessionRef,
        vector: chi_shm_vector,
        field: &Field,
    ) -> Option<(Box<Record>, chi_shm_vector)> {
        let offset = session.mapping.layout().client_arena;
        let origin = Origin::Client { session: session.begin_task(), offset };
        let mut record = Record::new(origin, session.budget());
        // SAFETY: the task is inside the client's arena; the body holds as many bytes.
        unsafe {
            let at = session.mapping.address(offset).as_ptr();
            at.cast::<chi_task>().write(chi_task::new());
            at.add(HEADER).cast::<chi_shm_vector>().write(vector);
            let fields = std::slice::from_ref(field);
            marshal::take_body(&mut record, session, offset, SIZE, fields).ok()?;
            let found = record.body().cast::<u8>().add(HEADER).cast::<chi_shm_vector>().read();
            Some((record, found))
        }
    }

    fn named(number: u64, offset: u64, size: u64, capacity: u64) -> chi_shm_vector {
        let shm_ = number << CHI_SHM_OFFSET_BITS | offset;
        let data_ = std::ptr::null_mut();
        let (size_, capacity_) = (size, capacity);
        chi_shm_vector { shm_, data_, size_, capacity_, offset_in_task_: 0, reserved_: 0 }
    }

    #[test]
    fn what_is_named_is_where_the_client_has_it() {
        let client = Session::without_client(7).unwrap();
        let (link, borrowed) = link(&client);
        let layout = *client.mapping.layout();
        let (own, result) = (layout.client_arena + 640, layout.runtime_arena + 640);
        // SAFETY: the bytes are inside the client's segment.
        unsafe { client.mapping.address(own).as_ptr().write(77) };
        let field = numbers(8);
        let vector = named(NUMBER.into(), own, 100, 1000);
        let (record, found) = taken(&link, vector, &field).unwrap();
        assert_eq!((found.size_, found.capacity_), (100, 1000));
        // SAFETY: it is mapped.
        assert_eq!(unsafe { found.data_.cast::<u8>().read() }, 77);
        assert!(link.mapping.offset_of(found.data_.cast()).is_none());
        assert_eq!(reference_to(&record, found.data_.cast()), Some(vector.shm_));
        assert_eq!(reference_to(&record, found.data_.cast::<u8>().wrapping_add(8)), None);
        // It stays mapped for the task.
        borrowed.remove(NUMBER.into());
        assert!(link.borrowed(NUMBER.into()).is_none());
        // SAFETY: the task keeps it mapped.
        assert_eq!(unsafe { found.data_.cast::<u8>().read() }, 77);
        drop(record);
        assert!(taken(&link, vector, &field).is_none());

        let (link, _borrowed) = self::link(&client);
        let (_, found) = taken(&link, named(NUMBER.into(), result, 100, 100), &field).unwrap();
        assert_eq!((found.size_, found.capacity_), (100, 0), "a result may be read");
    }

    #[test]
    fn nothing_else_can_be_named() {
        let client = Session::without_client(7).unwrap();
        let (link, _borrowed) = link(&client);
        let layout = *client.mapping.layout();
        let (number, at, end) = (u64::from(NUMBER), layout.client_arena + 64, layout.size);
        let field = numbers(8);
        for wrong in [
            named(number - 1, at, 8, 8),
            named(number + 1, at, 8, 8),
            named(0xffff, at, 8, 8),
            named(number, 8, 8, 8),
            named(number, layout.client_arena - 8, 8, 8),
            named(number, at + 4, 8, 8),
            named(number, at, 16, 8),
            named(number, at, 8, end - at + 1),
            named(number, end, 0, 8),
            named(number, end - 8, 8, 16),
            named(number, at, 8, u64::MAX),
            named(number, (1 << CHI_SHM_OFFSET_BITS) - 8, 8, u64::MAX),
        ] {
            let found = taken(&link, wrong, &field);
            assert!(found.is_none(), "{:#x} {} {}", wrong.shm_, wrong.size_, wrong.capacity_);
        }
        let right = named(number, at, 8, end - at);
        assert!(taken(&link, right, &field).is_some());
        // Not vectors of vectors, and not for other clients, module hosts among them.
        let elem_size = size_of::<chi_shm_vector>() as u64;
        let inner = vec![Field { offset: 0, ..numbers(1) }];
        let nested = Field { elem_size, inner, ..numbers(8) };
        assert!(taken(&link, right, &nested).is_none());
        assert!(taken(&client, right, &field).is_none());
        let host = Session::without_client(9).unwrap();
        let ring = Producer::new(host.mapping.ring(host.mapping.layout().rings - 1));
        host.tell_completions(Completions::new(ring, eventfd(), None, 0));
        assert!(taken(&host, right, &field).is_none());
    }
}
