//! A module's methods: the runtime's own, checked copy of the descriptor's tables.

use std::ffi::CStr;

use chimaera_abi::*;
use chimaera_description::{Body, Direction};

/// The bytes of a string's or vector's descriptor.
const DESCRIPTOR: u32 = size_of::<chi_shm_vector>() as u32;

/// A string or vector in a task or in an element of a vector.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) offset: usize,
    pub(crate) elem_size: u64,
    pub(crate) elem_align: u64,
    /// Strings and vectors inside an element.
    pub(crate) inner: Vec<Field>,
    /// Whether callers say what is in it, and whether methods do, as far as is known.
    pub(crate) sent: Transfer,
}

/// Where something is sent: to a method, back, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) to_method: bool,
    pub(crate) back: bool,
}

impl Transfer {
    /// Where something is sent of which the module does not say who fills it in.
    pub(crate) const BOTH: Transfer = Transfer { to_method: true, back: true };
}

impl From<Direction> for Transfer {
    fn from(direction: Direction) -> Transfer {
        Transfer {
            to_method: matches!(direction, Direction::In | Direction::InOut),
            back: matches!(direction, Direction::Out | Direction::InOut),
        }
    }
}

impl Field {
    /// Notes who fills it in, with all that is inside.
    fn is_sent(&mut self, sent: Transfer) {
        self.sent = sent;
        self.inner.iter_mut().for_each(|field| field.is_sent(sent));
    }
}

/// A method.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) supported: bool,
    pub(crate) monitored: bool,
    /// The module combines the results of a broadcast.
    pub(crate) aggregated: bool,
    /// Its tasks may run twice.
    pub(crate) idempotent: bool,
    /// The fingerprint in `layout` is that of its tasks' declaration in the module's language.
    pub(crate) declared: bool,
    pub(crate) task_size: usize,
    /// The layout of its tasks, encoded as in `chi_task.status_`; 0 if it is not compared with that
    /// of clients.
    pub(crate) layout: chi_status,
    /// What tasks pass instead that do not say which layout they have: `CHI_OK`, unless they are refused.
    pub(crate) unstated: chi_status,
    pub(crate) fields: Vec<Field>,
    /// The bytes of a body behind the header, without descriptors of strings and vectors and what only the method
    /// fills in.
    pub(crate) bytes_in: u32,
    /// The same without those that only the caller fills in.
    pub(crate) bytes_out: u32,
}

/// The size of a method's tasks, and their layout.
pub(crate) type TaskShape = (usize, chi_status);

impl Method {
    /// The shape of its tasks.
    pub(crate) fn shape(&self) -> TaskShape {
        (self.task_size, self.layout)
    }

    /// Whether tasks made for a method of this shape, the same in another module, can be run by this one.
    pub(crate) fn takes(&self, shape: TaskShape) -> bool {
        let (size, layout) = shape;
        shape == self.shape() || (size == self.task_size && self.is_like(layout))
    }

    /// Whether tasks that do not say which layout they have, but were made for this other method, can be run by this
    /// one: the other's fingerprint is the same, or was never known.
    pub(crate) fn takes_all_of(&self, other: &Method) -> bool {
        let (size, layout) = other.shape();
        other.shape() == self.shape() || size == self.task_size && description_in(layout) == 0
    }

    /// Refuses tasks that do not say which layout they have.
    pub(crate) fn be_strict(&mut self) {
        self.unstated = chi_status::MAX;
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.unstated != CHI_OK
    }

    /// Whether tasks of a client that passes `layout` in `chi_task.status_` have the module's
    /// layout, as far as can be told.
    #[inline]
    pub(crate) fn is_of(&self, layout: chi_status) -> bool {
        layout == self.layout || self.is_compatible(layout)
    }

    #[cold]
    fn is_compatible(&self, layout: chi_status) -> bool {
        // Otherwise the value is left over from an earlier run: clients of ABI 1.0 need not clear
        // it.
        let is_layout = |size| (size_of::<chi_task>()..=CHI_MAX_TASK_SIZE as usize).contains(&size);
        if layout >= 0 || !is_layout(size_in(layout)) || self.layout == 0 {
            return !self.is_strict();
        }
        self.is_like(layout)
    }

    fn is_like(&self, layout: chi_status) -> bool {
        let (theirs, ours) = (description_in(layout), description_in(self.layout));
        // A client in another language declares the task anew, and its fingerprint says nothing here.
        let foreign = self.declared && theirs & LANGUAGE != ours & LANGUAGE;
        size_in(layout) == self.task_size && (theirs == 0 || ours == 0 || theirs == ours || foreign)
    }
}

/// Where a fingerprint says in which language its task is declared.
const LANGUAGE: u32 = CHI_DECLARED_IN_CPP | CHI_DECLARED_IN_RUST;

fn size_in(layout: chi_status) -> usize {
    ((layout as u32 & !CHI_TASK_LAYOUT) >> CHI_TASK_LAYOUT_SIZE_SHIFT) as usize * 8
}

fn description_in(layout: chi_status) -> u32 {
    layout as u32 & ((1 << CHI_TASK_LAYOUT_SIZE_SHIFT) - 1)
}

/// The methods of a module, found by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Methods {
    by_number: Vec<Option<Box<Method>>>,
}

impl Methods {
    /// The method with this number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Method> {
        self.by_number.get(number as usize)?.as_deref()
    }

    /// These methods, without the comparison of their tasks' layout with that of clients.
    pub(crate) fn of_any_layout(mut self) -> Methods {
        for method in self.by_number.iter_mut().flatten() {
            method.layout = 0;
        }
        self
    }

    /// These methods, for containers that pass tasks on: another process asks monitors and combines results.
    pub(crate) fn passed_on(mut self) -> Methods {
        for method in self.by_number.iter_mut().flatten() {
            (method.monitored, method.aggregated) = (false, false);
        }
        self
    }

    /// Notes what the module says of who fills in the task of a method. Its body must be as `body` says.
    pub(super) fn learn(&mut self, name: &str, body: &Body) {
        let methods = self.by_number.iter_mut().flatten();
        let Some(method) = methods.into_iter().find(|method| method.name == name) else { return };
        (method.bytes_in, method.bytes_out) = (0, 0);
        for said in &body.fields {
            let sent = Transfer::from(said.direction);
            let inside = said.offset as usize..(said.offset + said.size) as usize;
            let mut plain = said.size;
            for field in method.fields.iter_mut().filter(|field| inside.contains(&field.offset)) {
                field.is_sent(sent);
                plain -= DESCRIPTOR;
            }
            method.bytes_in += if sent.to_method { plain } else { 0 };
            method.bytes_out += if sent.back { plain } else { 0 };
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Method> {
        self.by_number.iter().filter_map(|method| method.as_deref())
    }

    /// Reads and checks a module's table. The error says what is wrong with it.
    ///
    /// # Safety
    /// The descriptor must cover at least the fields of ABI 1.0; its pointers must be those of a
    /// loaded module.
    pub(crate) unsafe fn read(descriptor: *const chi_module_descriptor) -> Result<Methods, String> {
        // SAFETY: by the caller's promise, the descriptor covers all fields of 1.0.
        let (table, count, stride, field_stride) = unsafe {
            (
                (*descriptor).methods,
                (*descriptor).n_methods,
                (*descriptor).method_stride as usize,
                (*descriptor).field_stride as usize,
            )
        };
        if count > CHI_METHOD_LIMIT
            || stride < since_1_0::METHOD
            || field_stride < since_1_0::FIELD_LAYOUT
            || (table.is_null() && count > 0)
        {
            return Err("its method table is malformed".into());
        }
        let mut methods = Methods::default();
        for index in 0..count as usize {
            // SAFETY: the table has `count` entries, `stride` bytes apart, which cover at least the
            // fields of 1.0; the name is null or a C string of the module.
            let method = unsafe { read_method(table.byte_add(index * stride), field_stride) }?;
            let slot = method.number as usize;
            if methods.by_number.len() <= slot {
                methods.by_number.resize_with(slot + 1, || None);
            }
            if let Some(other) = &methods.by_number[slot] {
                return Err(format!(
                    "the methods {} and {} have the same number {slot}",
                    other.name, method.name
                ));
            }
            methods.by_number[slot] = Some(Box::new(method));
        }
        Ok(methods)
    }
}

/// # Safety
/// `raw` must be an entry of a loaded module's table and cover at least the fields of 1.0.
unsafe fn read_method(raw: *const chi_method, field_stride: usize) -> Result<Method, String> {
    // SAFETY: by the caller's promise. The entry may be shorter than ours, so its fields are read
    // one by one.
    let raw = unsafe {
        chi_method {
            number_: (*raw).number_,
            flags_: (*raw).flags_,
            name_: (*raw).name_,
            task_size_: (*raw).task_size_,
            n_fields_: (*raw).n_fields_,
            fields_: (*raw).fields_,
        }
    };
    if raw.name_.is_null() || raw.number_ >= CHI_METHOD_LIMIT {
        return Err(format!("method {} has no name or too high a number", raw.number_));
    }
    // SAFETY: a C string of the module, by the caller's promise.
    let name = unsafe { CStr::from_ptr(raw.name_) }.to_string_lossy().into_owned();
    let supported = raw.flags_ & CHI_METHOD_SUPPORTED != 0;
    let task_size = raw.task_size_ as usize;
    let header = std::mem::size_of::<chi_task>();
    if supported && (task_size < header || task_size > CHI_MAX_TASK_SIZE as usize) {
        return Err(format!(
            "the task of {name} has {task_size} bytes; it must have {header} to {CHI_MAX_TASK_SIZE}"
        ));
    }
    // SAFETY: the table is the module's, by the caller's promise.
    let fields = unsafe {
        read_fields(raw.fields_, raw.n_fields_, field_stride, header..task_size, 1)
            .map_err(|why| format!("in the task of {name}, {why}"))?
    };
    // They are inside the task, and do not overlap.
    let plain = task_size.saturating_sub(header) as u32 - fields.len() as u32 * DESCRIPTOR;
    Ok(Method {
        number: raw.number_,
        name,
        supported,
        monitored: raw.flags_ & CHI_METHOD_MONITORED != 0,
        aggregated: raw.flags_ & CHI_METHOD_AGGREGATED != 0,
        idempotent: raw.flags_ & CHI_METHOD_IDEMPOTENT != 0,
        declared: raw.flags_ & CHI_METHOD_DECLARED != 0,
        task_size,
        layout: task_layout(task_size, raw.flags_ >> CHI_METHOD_DESCRIPTION_SHIFT),
        unstated: CHI_OK,
        fields,
        bytes_in: plain,
        bytes_out: plain,
    })
}

/// # Safety
/// `first` must point to `count` entries, `stride` bytes apart, of a loaded module.
unsafe fn read_fields(
    first: *const chi_field_layout,
    count: u32,
    stride: usize,
    inside: std::ops::Range<usize>,
    depth: u32,
) -> Result<Vec<Field>, String> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let size = std::mem::size_of::<chi_shm_vector>();
    if first.is_null() || depth > CHI_MAX_FIELD_DEPTH || count as usize > inside.len() / size {
        return Err(format!("{count} strings and vectors at depth {depth} are too many"));
    }
    let mut fields: Vec<Field> = Vec::new();
    for index in 0..count as usize {
        // SAFETY: by the caller's promise. The entry may be shorter than ours, so its fields are
        // read one by one.
        let raw = unsafe {
            let raw = first.byte_add(index * stride);
            chi_field_layout {
                offset_: (*raw).offset_,
                kind_: (*raw).kind_,
                elem_size_: (*raw).elem_size_,
                elem_align_: (*raw).elem_align_,
                elem_fields_: (*raw).elem_fields_,
                n_elem_fields_: (*raw).n_elem_fields_,
                reserved_: 0,
            }
        };
        let offset = raw.offset_ as usize;
        let good_kind = matches!(raw.kind_, CHI_FIELD_STRING | CHI_FIELD_VECTOR);
        if !good_kind
            || offset < inside.start
            || offset + size > inside.end
            || !offset.is_multiple_of(8)
            || raw.elem_size_ == 0
            || !raw.elem_align_.is_power_of_two()
            || raw.elem_align_ > 64
            || fields
                .iter()
                .any(|field| offset < field.offset + size && field.offset < offset + size)
        {
            return Err(format!("the string or vector at offset {offset} is malformed"));
        }
        let elem_size = raw.elem_size_ as usize;
        // SAFETY: by the caller's promise.
        let inner = unsafe {
            read_fields(raw.elem_fields_, raw.n_elem_fields_, stride, 0..elem_size, depth + 1)?
        };
        if !inner.is_empty() && (!elem_size.is_multiple_of(8) || raw.elem_align_ < 8) {
            return Err(format!("the elements of the vector at offset {offset} are not aligned"));
        }
        fields.push(Field {
            offset,
            elem_size: raw.elem_size_.into(),
            elem_align: raw.elem_align_.into(),
            inner,
            sent: Transfer::BOTH,
        });
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(task_size: usize, layout: chi_status) -> Method {
        Method {
            number: 10,
            name: "kCount".into(),
            supported: true,
            monitored: false,
            aggregated: false,
            idempotent: false,
            declared: false,
            task_size,
            layout,
            unstated: CHI_OK,
            fields: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    #[test]
    fn another_size_or_description_is_another_layout() {
        let described = method(72, task_layout(72, 7));
        assert!(described.is_of(task_layout(72, 7)));
        assert!(!described.is_of(task_layout(72, 8)));
        assert!(!described.is_of(task_layout(80, 7)));
        // One side was written by hand.
        assert!(described.is_of(task_layout(72, 0)));
        assert!(!described.is_of(task_layout(80, 0)));
        assert!(method(72, task_layout(72, 0)).is_of(task_layout(72, 7)));
        let largest = CHI_MAX_TASK_SIZE as usize;
        assert!(method(largest, task_layout(largest, 0)).is_of(task_layout(largest, 0)));
        assert!(!described.is_of(task_layout(largest, 0)));
    }

    #[test]
    fn declarations_in_different_languages_are_not_compared() {
        let cpp = |hash: u32| task_layout(72, hash << 2 | CHI_DECLARED_IN_CPP);
        let rust = |hash: u32| task_layout(72, hash << 2 | CHI_DECLARED_IN_RUST);
        let declared = |layout| Method { declared: true, ..method(72, layout) };
        assert!(declared(cpp(5)).is_of(cpp(5)));
        assert!(!declared(cpp(5)).is_of(cpp(6)));
        assert!(!declared(rust(5)).is_of(rust(6)));
        assert!(declared(cpp(5)).is_of(rust(6)));
        assert!(declared(rust(5)).is_of(cpp(6)));
        assert!(declared(rust(5)).is_of(task_layout(72, 0)));
        // A described task has one fingerprint in all languages.
        assert!(!method(72, cpp(5)).is_of(rust(6)));
        // Modules of different versions, one of which knows no fingerprint.
        assert!(declared(cpp(5)).takes((72, task_layout(72, 0))));
        assert!(declared(cpp(5)).takes((72, cpp(5))));
        assert!(!declared(cpp(5)).takes((72, cpp(6))));
        assert!(!declared(cpp(5)).takes((80, task_layout(80, 0))));
    }

    #[test]
    fn a_client_that_says_nothing_is_not_refused() {
        let described = method(72, task_layout(72, 7));
        for left in [CHI_OK, CHI_FAULT, CHI_MODULE_STATUS, -1, -1000, i32::MIN] {
            assert!(described.is_of(left), "{left}");
        }
        assert!(method(72, 0).is_of(task_layout(80, 0)));
    }
}
