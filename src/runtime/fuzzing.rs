//! Entry points for the fuzzers in `fuzz/`: the runtime's readers of untrusted input. Each panics
//! if a reader accepts input that it must refuse.

use std::sync::Arc;

use std::cell::OnceCell;

use crate::failure::Failure;
use crate::host::{Lender, Link, Parcel, Results};
use crate::module::{elf, Field, Method, Transfer};
use crate::pool::PoolMethod;
use crate::published::{Area, Block};
use crate::session::{Loan, Session, SessionRef};
use crate::state::{SavedPool, Storage};
use crate::sys::Budget;
use crate::task::{marshal, Origin, Record};
use chimaera_abi::*;

/// Examines the bytes as if they were a file in a directory of modules.
pub fn elf_file(bytes: &[u8]) {
    // A verdict and an error are both fine; the fuzzer looks for panics and endless loops.
    let _ = elf::examine(bytes, bytes.len() as u64);
}

/// Reads the bytes as a saved pool, and its states as a module does that knows no field.
pub fn saved_pool(bytes: &[u8]) {
    thread_local! {
        static BUDGET: &'static Budget = Budget::endless();
    }
    let budget = BUDGET.with(|budget| *budget);
    let Ok(saved) = SavedPool::read(&mut &*bytes, &Storage::new(budget, None), &Arc::default())
    else {
        return;
    };
    let mut again = Vec::new();
    saved.write(&mut again).expect("a vector takes all bytes");
    assert!(again == bytes, "a file has one form");
    for image in &saved.images {
        let (mut fields, mut total, mut last) = (image.reader(), 0, 0);
        // A field behind one of a higher number is refused here.
        while let Ok(field @ 1..) = fields.next_field() {
            assert!(field > last, "fields ascend");
            last = field;
            let mut field = vec![0; fields.remaining() as usize];
            fields.read(&mut field).expect("as many as there are");
            total += field.len() as u64;
        }
        assert!(total <= image.bytes());
    }
}

const HEADER: usize = std::mem::size_of::<chi_task>();
const VECTOR: usize = std::mem::size_of::<chi_shm_vector>();

fn field(offset: usize, elem_size: u64, inner: Vec<Field>) -> Field {
    let elem_align = if inner.is_empty() { 1 } else { 8 };
    Field { offset, elem_size, elem_align, inner, sent: Transfer::BOTH }
}

/// A task with a string, a vector of numbers, and vectors of strings and of vectors of strings.
fn method() -> PoolMethod {
    let string = |offset| field(offset, 1, Vec::new());
    let fields = vec![
        string(HEADER),
        Field { elem_align: 8, ..field(HEADER + VECTOR, 8, Vec::new()) },
        field(HEADER + 2 * VECTOR, VECTOR as u64, vec![string(0)]),
        field(
            HEADER + 3 * VECTOR,
            VECTOR as u64 + 8,
            vec![field(8, VECTOR as u64, vec![string(0)])],
        ),
    ];
    PoolMethod::new(Method {
        number: CHI_METHOD_CUSTOM,
        name: "kFuzz".into(),
        supported: true,
        monitored: false,
        aggregated: false,
        idempotent: false,
        declared: false,
        task_size: HEADER + 4 * VECTOR,
        layout: 0,
        unstated: 0,
        fields,
        bytes_in: 0,
        bytes_out: 0,
    })
}

/// Uses the bytes as the contents of the client's arena, takes the task at its start as if a client
/// had submitted it, and completes that task.
pub fn task_in_segment(bytes: &[u8]) {
    thread_local! {
        static SESSION: OnceCell<(SessionRef, PoolMethod, Arc<Block>)> = const { OnceCell::new() };
    }
    SESSION.with(|cell| {
        let (session, method, block) = cell.get_or_init(|| {
            let session = Session::without_client(1).expect("there is memory for a segment");
            let block = published(&session);
            (session, method(), block)
        });
        let layout = *session.mapping.layout();
        let len = bytes.len().min((layout.runtime_arena - layout.client_arena) as usize);
        let offset = layout.client_arena;
        // SAFETY: the client's arena has room for `len` bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                session.mapping.address(offset).as_ptr(),
                len,
            );
        }
        let origin = Origin::Client { session: session.begin_task(), offset };
        let mut record = Record::new(origin, session.budget());
        marshal::take_header(&mut record, session, offset);
        let size = method.task_size;
        if marshal::take_body(&mut record, session, offset, size, &method.fields).is_ok() {
            // SAFETY: the body holds `task_size` bytes.
            unsafe { check(&record, session, record.body().cast(), &method.fields) };
            record.method = method;
            let lent = bytes.len() as u64 % 4096;
            // SAFETY: the body has a string there.
            let result = unsafe { &mut *record.body().cast::<u8>().add(HEADER).cast() };
            assert!(record.lent.lend(block.clone(), 0, lent, result));
        }
        marshal::complete(&mut record, CHI_OK, "", |_, _, _| {});
        for hold in 0..4 {
            session.release(hold);
        }
        assert_eq!(session.used_bytes(), 0, "blocks have leaked");
        drop(record);
        assert!(!session.leases.any() && Arc::strong_count(block) == 1, "a lease has leaked");
    });
}

/// A block of published memory that the client of a session has mapped, at 2^40.
fn published(session: &Session) -> Arc<Block> {
    let block = Area::new(session.budget()).alloc(4096).expect("there is memory to publish");
    let _ = session.leases.place(block.segment(), block.offset(), block.size());
    let sent = session.leases.next(None).expect("it can be opened");
    assert!(sent.is_some(), "it is offered");
    session.leases.next(Some(1 << 40)).expect("it can be there");
    Arc::new(block)
}

/// Checks that the data of every vector is in the client's segment or in a private copy.
///
/// # Safety
/// `base` must point to memory that is laid out as `fields` describe.
unsafe fn check(record: &Record, session: &Session, base: *const u8, fields: &[Field]) {
    for field in fields {
        // SAFETY: by the caller's promise.
        let vector = unsafe { &*base.add(field.offset).cast::<chi_shm_vector>() };
        let data = vector.data_.cast::<u8>();
        assert!(vector.size_ <= vector.capacity_);
        let copy = record.private.iter().find(|block| block.data() == data);
        if data.is_null() {
            assert_eq!(vector.capacity_, 0);
            continue;
        }
        assert!((data as u64).is_multiple_of(field.elem_align), "a vector is not aligned");
        // What the client has on lease is copied.
        if let Some(copy) = copy.filter(|_| field.inner.is_empty()) {
            assert!(vector.capacity_ as usize <= copy.size());
            continue;
        }
        if field.inner.is_empty() {
            let offset = session.mapping.offset_of(data).expect("leaf bytes are in the segment");
            assert!(vector.capacity_ <= session.mapping.layout().size - offset);
            continue;
        }
        let copy = copy.expect("a private copy");
        assert!(vector.size_ as usize <= copy.size());
        for index in 0..vector.size_ / field.elem_size {
            // SAFETY: `index` is less than the number of elements, and the copy holds them all.
            unsafe {
                let element = data.add((index * field.elem_size) as usize);
                check(record, session, element, &field.inner);
            }
        }
    }
}

/// Blocks of private memory, as those of a task that a worker passes on to a module host.
#[derive(Default)]
struct Blocks(Vec<Vec<u64>>);

impl Results for Blocks {
    fn alloc(&mut self, size: u64, _: bool) -> Result<chi_buffer, Failure> {
        let mut block = vec![0_u64; size.div_ceil(8) as usize];
        let data = block.as_mut_ptr().cast();
        self.0.push(block);
        Ok(chi_buffer { shm_: 1 << 63, data_: data, size_: size })
    }
}

/// A vector of this private memory, of which all is used.
fn private<T>(memory: &mut [T]) -> chi_shm_vector {
    let size = std::mem::size_of_val(memory) as u64;
    chi_shm_vector {
        shm_: 1 << 63,
        data_: memory.as_mut_ptr().cast(),
        size_: size,
        capacity_: size,
        offset_in_task_: 0,
        reserved_: 0,
    }
}

/// Sends a task to a module host, uses the bytes as what that has made of the arena, and takes the results.
pub fn parcel_that_comes_back(bytes: &[u8]) {
    thread_local! {
        static LINK: OnceCell<(Link, SessionRef, PoolMethod)> = const { OnceCell::new() };
    }
    LINK.with(|cell| {
        let (link, session, method) = cell.get_or_init(|| {
            let session = Session::without_client(1).expect("there is memory for a segment");
            (Link::without_peer().expect("there is memory for a segment"), session, method())
        });
        // The text is large, and stays in the client's segment, which is lent as number 1.
        const LARGE: u64 = 16 << 10;
        let lender = Lender::of_loan(session, Arc::new(Loan::to_nobody(1)));
        let at = session.mapping.layout().client_arena;
        let large = session.mapping.find(at, LARGE).expect("the arena is larger");
        let text = chi_shm_vector {
            shm_: at,
            data_: large.as_ptr().cast(),
            size_: LARGE / 2,
            capacity_: LARGE,
            offset_in_task_: 0,
            reserved_: 0,
        };
        let mut numbers = [7_u64; 16];
        let (mut one, mut two) = ([b'a'; 10], [b'b'; 1000]);
        let mut words = [private(&mut one), private(&mut two)];
        let mut body = vec![0_u64; method.task_size / 8];
        let task = body.as_mut_ptr().cast::<chi_task>();
        let sent = [text, private(&mut numbers), private(&mut words)];
        // SAFETY: the body has four vectors behind its header, of which the last one is empty.
        unsafe {
            let vectors = task.cast::<u8>().add(HEADER).cast::<chi_shm_vector>();
            sent.iter().enumerate().for_each(|(at, vector)| vectors.add(at).write(*vector));
            let parcel = Parcel::pack(link, task, method, Some(&lender), |_| ());
            let parcel = parcel.unwrap_or_else(|_| panic!("there is room for a small task"));
            link.overwrite(bytes);
            let mut blocks = Blocks::default();
            let (_, taken) = parcel.unpack(link, task, method, &mut blocks);
            assert_eq!(link.blocks(), 0, "blocks have leaked");
            let last = vectors.add(3).read();
            for vector in [vectors.read(), vectors.add(1).read(), vectors.add(2).read(), last] {
                let known = blocks.0.iter().map(|block| (block.as_ptr().addr(), 8 * block.len()));
                let own = sent.iter().map(|one| (one.data_.addr(), one.capacity_ as usize));
                let mut known = known.chain(own).chain([(0, 0)]);
                let within =
                    |(at, size)| at == vector.data_.addr() && vector.size_ as usize <= size;
                assert!(known.any(within), "{taken:?}: a vector that nobody has allocated");
            }
        }
    });
}
