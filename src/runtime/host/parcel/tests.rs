use crate::module::Transfer;
use std::ffi::c_void;

use super::*;
use crate::session::{Session, SessionRef};

const VECTOR: usize = size_of::<chi_shm_vector>();
const SIZE: usize = HEADER + 2 * VECTOR;

/// Blocks of private memory, as those of a task made here.
#[derive(Default)]
struct Private(Vec<Vec<u64>>);

impl Results for Private {
    fn alloc(&mut self, size: u64, _: bool) -> Result<chi_buffer, Failure> {
        self.0.push(vec![0; size.div_ceil(8) as usize + 1]);
        let data = self.0.last_mut().expect("pushed just now").as_mut_ptr();
        Ok(chi_buffer { shm_: 1 << 63, data_: data.cast(), size_: size })
    }
}

fn link() -> Link {
    Link::without_peer().unwrap()
}

fn string(offset: usize) -> Field {
    Field { offset, elem_size: 1, elem_align: 1, inner: Vec::new(), sent: Transfer::BOTH }
}

/// A task with a string and a vector of strings.
fn method() -> Method {
    let elem_size = VECTOR as u64;
    let strings = Field {
        offset: HEADER + VECTOR,
        elem_size,
        elem_align: 8,
        inner: vec![string(0)],
        sent: Transfer::BOTH,
    };
    Method {
        number: CHI_METHOD_CUSTOM,
        name: "kTest".into(),
        supported: true,
        monitored: false,
        aggregated: false,
        idempotent: false,
        declared: false,
        task_size: SIZE,
        layout: 0,
        unstated: 0,
        fields: vec![string(HEADER), strings],
        bytes_in: 0,
        bytes_out: 0,
    }
}

fn vector(data: *mut c_void, size: usize) -> chi_shm_vector {
    chi_shm_vector {
        shm_: 1 << 63,
        data_: data,
        size_: size as u64,
        capacity_: size as u64,
        offset_in_task_: 0,
        reserved_: 0,
    }
}

/// A task and what its vectors refer to.
struct Task {
    body: Vec<u64>,
    text: Vec<u8>,
    words: Vec<Vec<u8>>,
    elements: Vec<chi_shm_vector>,
}

impl Task {
    fn new() -> Box<Task> {
        let words: Vec<Vec<u8>> = (1..5).map(|len| vec![b'a'; len * 7]).collect();
        let text = vec![b't'; 100];
        let mut task =
            Box::new(Task { body: vec![0; SIZE / 8], text, words, elements: Vec::new() });
        let of = |bytes: &mut Vec<u8>| vector(bytes.as_mut_ptr().cast(), bytes.len());
        task.elements = task.words.iter_mut().map(of).collect();
        let text = of(&mut task.text);
        let elements = vector(task.elements.as_mut_ptr().cast(), task.elements.len() * VECTOR);
        for (at, found) in [text, elements].into_iter().enumerate() {
            // SAFETY: the body has room for both after its header.
            unsafe {
                task.body()
                    .cast::<u8>()
                    .add(HEADER + at * VECTOR)
                    .cast::<chi_shm_vector>()
                    .write(found)
            }
        }
        task
    }

    fn body(&mut self) -> *mut chi_task {
        self.body.as_mut_ptr().cast()
    }

    fn vector(&mut self, index: usize) -> chi_shm_vector {
        // SAFETY: the body has two vectors after its header.
        unsafe {
            self.body().cast::<u8>().add(HEADER + index * VECTOR).cast::<chi_shm_vector>().read()
        }
    }

    fn pack(&mut self, link: &Link) -> Parcel {
        // SAFETY: the task is of this method.
        unsafe { Parcel::pack(link, self.body(), &method(), None, |_| ()) }.unwrap()
    }

    fn unpack(&mut self, link: &Link, parcel: Parcel) -> (Private, Result<(), Failure>) {
        let mut results = Private::default();
        // SAFETY: as above, and it was packed from this one.
        let (_, taken) = unsafe { parcel.unpack(link, self.body(), &method(), &mut results) };
        (results, taken)
    }
}

#[test]
fn what_did_not_change_is_not_written() {
    let (link, mut task) = (link(), Task::new());
    let parcel = task.pack(&link);
    // The owner changes it meanwhile.
    task.text[0] = b'x';
    let (results, taken) = task.unpack(&link, parcel);
    taken.unwrap();
    assert_eq!((task.text[0], results.0.len()), (b'x', 0));
    assert_eq!(task.vector(0).size_, 100);
    assert_eq!(link.blocks(), 0, "all is freed");
}

#[test]
fn bytes_that_change_come_back_to_where_they_were() {
    let (link, mut task) = (link(), Task::new());
    let parcel = task.pack(&link);
    let block = parcel.sent.iter().find(|sent| sent.original.size_ == 100).unwrap().block;
    // SAFETY: the block is inside the segment.
    unsafe { link.mapping().address(block).as_ptr().write(b'y') };
    let (results, taken) = task.unpack(&link, parcel);
    taken.unwrap();
    assert_eq!((task.text[0], results.0.len()), (b'y', 0));
}

#[test]
fn descriptors_that_lie_are_refused() {
    let lies: [fn(&mut chi_shm_vector, u64); 6] = [
        |vector, _| vector.shm_ = 8,
        |vector, _| vector.shm_ |= 1 << CHI_SHM_OFFSET_BITS,
        |vector, size| vector.size_ = size,
        |vector, _| vector.size_ = u64::MAX,
        |vector, size| vector.shm_ = size,
        |vector, size| (vector.shm_, vector.size_) = (size - 1, 2),
    ];
    for lie in lies {
        let (link, mut task) = (link(), Task::new());
        let parcel = task.pack(&link);
        let size = link.mapping().layout().size;
        // SAFETY: the task's first vector is inside the segment.
        unsafe {
            let at = link.mapping().address(parcel.task).as_ptr().add(HEADER);
            let vector = &mut *at.cast::<chi_shm_vector>();
            lie(vector, size);
        }
        let (_, taken) = task.unpack(&link, parcel);
        assert_eq!(taken.unwrap_err().status, CHI_INTERNAL);
        assert_eq!(task.vector(0).data_.cast_const(), task.text.as_ptr().cast(), "it is as it was");
    }
}

/// Whatever the other side writes, what comes back is inside the segment or was refused.
#[test]
fn rubbish_in_the_segment_does_no_harm() {
    let link = link();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut task = Task::new();
        let parcel = task.pack(&link);
        let blocks = parcel.blocks.clone();
        for _ in 0..random() % 6 {
            let block = blocks[(random() % blocks.len() as u64) as usize];
            let value = match random() % 4 {
                0 => random(),
                1 => random() % link.mapping().layout().size,
                2 => blocks[(random() % blocks.len() as u64) as usize],
                _ => random() % 1000,
            };
            // SAFETY: each block has at least 64 bytes.
            unsafe {
                let at = link.mapping().address(block + random() % 8 * 8).as_ptr();
                at.cast::<u64>().write(value);
            }
        }
        let (results, taken) = task.unpack(&link, parcel);
        refused += u32::from(taken.is_err());
        let all = results.0.iter().map(|block| block.len() as u64 * 8).sum::<u64>();
        assert!(all <= 2 * link.mapping().layout().size);
    }
    assert!(refused > 100, "{refused}");
}

const LARGE: usize = 20_000;
/// The number of the segment of these tests in the other process.
const NUMBER: u16 = 5;

/// A task whose text is at this offset of a client's segment, and its parcel.
fn lent(
    link: &Link,
    session: &SessionRef,
    at: u64,
    original: chi_shm_vector,
) -> (Box<Task>, Parcel) {
    let mut task = Task::new();
    let start = session.mapping.find(at, original.capacity_.max(original.size_)).unwrap();
    let text = chi_shm_vector { shm_: at, data_: start.as_ptr().cast(), ..original };
    // SAFETY: the body has a vector after its header.
    unsafe { task.body().cast::<u8>().add(HEADER).cast::<chi_shm_vector>().write(text) };
    let lender = Lender::of_loan(session, Arc::new(Loan::to_nobody(NUMBER)));
    // SAFETY: the task is of this method.
    let parcel =
        unsafe { Parcel::pack(link, task.body(), &method(), Some(&lender), |_| ()) }.unwrap();
    (task, parcel)
}

/// The first vector of the task in the link.
fn sent(link: &Link, parcel: &Parcel) -> *mut chi_shm_vector {
    // SAFETY: the task is inside the segment.
    unsafe { link.mapping().address(parcel.task).as_ptr().add(HEADER).cast() }
}

fn sized(size: usize, capacity: usize) -> chi_shm_vector {
    let (size_, capacity_) = (size as u64, capacity as u64);
    chi_shm_vector { size_, capacity_, ..vector(std::ptr::null_mut(), 0) }
}

#[test]
fn large_vectors_stay_where_they_are() {
    let (link, session) = (link(), Session::without_client(1).unwrap());
    let at = session.mapping.layout().client_arena + 64;
    let (mut task, parcel) = lent(&link, &session, at, sized(LARGE, 2 * LARGE));
    // SAFETY: the vector is inside the segment.
    let found = unsafe { sent(&link, &parcel).read() };
    let shm = u64::from(NUMBER) << CHI_SHM_OFFSET_BITS | at;
    assert_eq!((found.shm_, found.size_), (shm, LARGE as u64));
    assert_eq!(found.capacity_, 2 * LARGE as u64);
    // The task, the vector of strings, and its four small strings.
    assert_eq!(link.blocks(), 6);
    assert!(parcel.loan.is_some());
    // It has become longer.
    // SAFETY: as above.
    unsafe { (*sent(&link, &parcel)).size_ = 2 * LARGE as u64 };
    let (results, taken) = task.unpack(&link, parcel);
    taken.unwrap();
    let found = task.vector(0);
    assert_eq!(
        (found.shm_, found.size_, found.capacity_),
        (at, 2 * LARGE as u64, 2 * LARGE as u64)
    );
    assert_eq!(found.data_.cast(), session.mapping.find(at, 1).unwrap().as_ptr());
    assert_eq!((results.0.len(), link.blocks()), (0, 0));
    // A small one is copied.
    let (task, parcel) = lent(&link, &session, at, sized(100, 100));
    assert!(parcel.referred.is_empty() && parcel.loan.is_none());
    drop(task);
    parcel.discard(&link);
}

#[test]
fn references_that_lie_are_refused() {
    let session = Session::without_client(1).unwrap();
    let layout = *session.mapping.layout();
    let lies: [fn(&mut chi_shm_vector); 6] = [
        |vector| vector.shm_ += 8,
        |vector| vector.shm_ -= 8,
        |vector| vector.shm_ += 1 << CHI_SHM_OFFSET_BITS,
        |vector| vector.shm_ |= 0xffff << CHI_SHM_OFFSET_BITS,
        |vector| vector.size_ = LARGE as u64 + 1,
        |vector| vector.size_ = u64::MAX,
    ];
    // In the client's arena, and a result in the runtime's, which is read-only.
    for (at, capacity) in [(layout.client_arena, LARGE), (layout.runtime_arena, 0)] {
        for lie in lies {
            let link = link();
            let (mut task, parcel) = lent(&link, &session, at, sized(LARGE, capacity));
            // SAFETY: the vector is inside the segment.
            unsafe { lie(&mut *sent(&link, &parcel)) };
            let (_, taken) = task.unpack(&link, parcel);
            let refused = taken.unwrap_err();
            assert_eq!(refused.status, CHI_INTERNAL);
            assert!(refused.message.contains("points outside the segment"));
            assert_eq!((task.vector(0).size_, link.blocks()), (LARGE as u64, 0), "as it was");
        }
        // In the place of a vector of strings.
        let link = link();
        let (mut task, parcel) = lent(&link, &session, at, sized(LARGE, capacity));
        // SAFETY: both vectors are inside the segment.
        unsafe { sent(&link, &parcel).add(1).write(sent(&link, &parcel).read()) };
        let (_, taken) = task.unpack(&link, parcel);
        assert_eq!(taken.unwrap_err().status, CHI_INTERNAL);
        // It may become shorter.
        let (mut task, parcel) = lent(&link, &session, at, sized(LARGE, capacity));
        // SAFETY: as above.
        unsafe { (*sent(&link, &parcel)).size_ = 7 };
        task.unpack(&link, parcel).1.unwrap();
        assert_eq!((task.vector(0).size_, task.vector(0).capacity_), (7, capacity as u64));
    }
}

/// Two vectors that begin at the same byte have the room of the larger one.
#[test]
fn of_references_to_the_same_byte_the_one_with_most_room_counts() {
    let session = Session::without_client(1).unwrap();
    let at = session.mapping.layout().client_arena;
    let link = link();
    let (mut task, mut parcel) = lent(&link, &session, at, sized(LARGE, LARGE));
    let Referred { shm, original } = parcel.referred.pop().unwrap();
    let more = chi_shm_vector { capacity_: 3 * LARGE as u64, ..original };
    parcel.referred.extend([Referred { shm, original }, Referred { shm, original: more }]);
    // SAFETY: the vector is inside the segment.
    unsafe { (*sent(&link, &parcel)).size_ = 2 * LARGE as u64 };
    task.unpack(&link, parcel).1.unwrap();
    assert_eq!(task.vector(0).size_, 2 * LARGE as u64);
}
