//! The contents of tasks: types, and the offsets that C gives to fields.

use chimaera_abi::{chi_shm_vector, chi_task, CHI_TASK_LAYOUT_SIZE_SHIFT};

/// The size of `chi_task`, after which a task's own fields begin.
pub const TASK_HEADER: u32 = size_of::<chi_task>() as u32;
/// The alignment of `chi_task`.
const TASK_ALIGN: u32 = align_of::<chi_task>() as u32;
/// The size of the C structs for strings and vectors.
const DESCRIPTOR: u32 = size_of::<chi_shm_vector>() as u32;
/// The longest array: a task's body is small, and bulk data belongs in vectors.
pub const MAX_ARRAY: u32 = 4096;

/// A C number type, with its size in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `u8` to `u64`.
    Unsigned(u32),
    /// `i8` to `i64`.
    Signed(u32),
    /// `f32` and `f64`.
    Float(u32),
}

impl Scalar {
    const ALL: [Scalar; 10] = [
        Scalar::Unsigned(8),
        Scalar::Unsigned(16),
        Scalar::Unsigned(32),
        Scalar::Unsigned(64),
        Scalar::Signed(8),
        Scalar::Signed(16),
        Scalar::Signed(32),
        Scalar::Signed(64),
        Scalar::Float(32),
        Scalar::Float(64),
    ];

    /// The scalar with this name.
    pub fn by_name(name: &str) -> Option<Scalar> {
        Scalar::ALL.into_iter().find(|scalar| scalar.name() == name)
    }

    /// Its name in the YAML and in Rust; in C++ it is in the namespace `chi`.
    pub fn name(self) -> String {
        match self {
            Scalar::Unsigned(bits) => format!("u{bits}"),
            Scalar::Signed(bits) => format!("i{bits}"),
            Scalar::Float(bits) => format!("f{bits}"),
        }
    }

    /// Its name in C.
    pub fn c_name(self) -> String {
        match self {
            Scalar::Unsigned(bits) => format!("uint{bits}_t"),
            Scalar::Signed(bits) => format!("int{bits}_t"),
            Scalar::Float(32) => "float".into(),
            Scalar::Float(_) => "double".into(),
        }
    }

    /// The smallest and the largest value of an integer.
    pub fn range(self) -> (i128, i128) {
        match self {
            Scalar::Unsigned(bits) => (0, (1 << bits) - 1),
            Scalar::Signed(bits) | Scalar::Float(bits) => {
                (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
            }
        }
    }

    /// In bytes.
    pub fn size(self) -> u32 {
        let (Scalar::Unsigned(bits) | Scalar::Signed(bits) | Scalar::Float(bits)) = self;
        bits / 8
    }
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number.
    Scalar(Scalar),
    /// A byte that is 0 or 1.
    Bool,
    /// A fixed number of scalars or plain structs.
    Array(Box<Type>, u32),
    /// Text, of any length.
    String,
    /// Bytes, of any length.
    Bytes,
    /// Any number of elements.
    Vector(Box<Type>),
    /// One of the file's structs, by index.
    Struct(usize),
}

/// Who writes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The caller, before the call.
    In,
    /// The method: a result.
    Out,
    /// Both.
    InOut,
    /// Nobody: it is not sent to other processes.
    Skip,
}

impl Direction {
    const ALL: [(Direction, &'static str); 4] = [
        (Direction::In, "in"),
        (Direction::Out, "out"),
        (Direction::InOut, "inout"),
        (Direction::Skip, "skip"),
    ];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        Direction::ALL.iter().find(|(direction, _)| *direction == self).map_or("", |(_, name)| name)
    }

    /// The direction with this name.
    pub fn by_name(name: &str) -> Option<Direction> {
        Direction::ALL.iter().find(|(_, known)| *known == name).map(|(direction, _)| *direction)
    }
}

/// A field, and its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, without the `_` that C and C++ put behind it.
    pub name: String,
    /// What it is for.
    pub doc: Option<String>,
    /// Its type.
    pub ty: Type,
    /// Meaningless in a struct, whose direction is that of the field it is used in.
    pub direction: Direction,
    /// Bytes from the beginning of the task or struct.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
}

/// The fields of a struct or of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// In the order of their offsets.
    pub fields: Vec<Field>,
    /// The offset at which they begin.
    start: u32,
    /// In bytes.
    pub size: u32,
    /// In bytes.
    pub align: u32,
}

/// A struct that can be the type of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struct {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub doc: Option<String>,
    /// Its fields.
    pub body: Body,
    /// Whether it contains no strings or vectors.
    pub plain: bool,
}

/// A field, or a gap that the generated structs fill with padding.
#[derive(Debug)]
pub enum Member<'f> {
    /// A field.
    Field(&'f Field),
    /// Bytes that no field has.
    Gap {
        /// How many gaps come before it.
        index: usize,
        /// Its size.
        bytes: u32,
    },
}

impl Body {
    /// An empty body after a header of `start` bytes.
    pub fn new(start: u32) -> Body {
        Body {
            fields: Vec::new(),
            start,
            size: start,
            align: if start == 0 { 1 } else { TASK_ALIGN },
        }
    }

    /// The body of a struct whose fields are unknown.
    pub fn opaque(size: u32, align: u32) -> Body {
        Body { fields: Vec::new(), start: 0, size, align }
    }

    /// Adds a field at the offset that C gives it. The size saturates instead of wrapping.
    pub fn push(
        &mut self,
        (name, doc): (String, Option<String>),
        ty: Type,
        direction: Direction,
        structs: &[Struct],
    ) {
        let (size, align) = size_and_align(&ty, structs);
        let end =
            self.fields.last().map_or(self.start, |last| last.offset.saturating_add(last.size));
        let offset = end.saturating_add(align - 1) / align * align;
        self.align = self.align.max(align);
        let end = offset.saturating_add(size).saturating_add(self.align - 1);
        self.size = end / self.align * self.align;
        self.fields.push(Field { name, doc, ty, direction, offset, size });
    }

    /// Fields and gaps in order: together they fill the struct.
    pub fn members(&self) -> Vec<Member<'_>> {
        let mut members = Vec::new();
        let (mut end, mut gaps) = (self.start, 0);
        let mut gap = |members: &mut Vec<Member<'_>>, from: u32, to: u32| {
            if from < to {
                members.push(Member::Gap { index: gaps, bytes: to - from });
                gaps += 1;
            }
        };
        for field in &self.fields {
            gap(&mut members, end, field.offset);
            members.push(Member::Field(field));
            end = field.offset + field.size;
        }
        gap(&mut members, end, self.size);
        members
    }

    /// The fingerprint of the description, in 19 bits that are not all zero: names, types and
    /// directions of the fields, at every depth. FNV-1a, folded.
    pub fn fingerprint(&self, structs: &[Struct]) -> u32 {
        let mut text = String::new();
        self.spell(structs, &mut text);
        let hash = text
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let mask = (1 << CHI_TASK_LAYOUT_SIZE_SHIFT) - 1;
        ((hash ^ hash >> CHI_TASK_LAYOUT_SIZE_SHIFT) & mask).max(1)
    }

    fn spell(&self, structs: &[Struct], text: &mut String) {
        for field in &self.fields {
            *text += field.direction.name();
            *text += " ";
            *text += &field.name;
            *text += ":";
            spell(&field.ty, structs, text);
            *text += ";";
        }
    }

    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The fields that a caller sets.
    pub fn inputs(&self) -> impl Iterator<Item = &Field> {
        self.fields
            .iter()
            .filter(|field| matches!(field.direction, Direction::In | Direction::InOut))
    }

    /// The fields that are returned to the caller.
    pub fn outputs(&self) -> impl Iterator<Item = &Field> {
        self.fields
            .iter()
            .filter(|field| matches!(field.direction, Direction::Out | Direction::InOut))
    }
}

/// The size and the alignment of a type in bytes.
pub fn size_and_align(ty: &Type, structs: &[Struct]) -> (u32, u32) {
    match ty {
        Type::Scalar(scalar) => (scalar.size(), scalar.size()),
        Type::Bool => (1, 1),
        Type::Array(of, n) => {
            let (size, align) = size_and_align(of, structs);
            (size.saturating_mul(*n), align)
        }
        Type::String | Type::Bytes | Type::Vector(_) => (DESCRIPTOR, 8),
        Type::Struct(index) => (structs[*index].body.size, structs[*index].body.align),
    }
}

fn spell(ty: &Type, structs: &[Struct], text: &mut String) {
    match ty {
        Type::Scalar(scalar) => *text += &scalar.name(),
        Type::Bool => *text += "bool",
        Type::String => *text += "string",
        Type::Bytes => *text += "bytes",
        Type::Array(of, n) => {
            spell(of, structs, text);
            *text += &format!("[{n}]");
        }
        Type::Vector(of) => {
            *text += "vector<";
            spell(of, structs, text);
            *text += ">";
        }
        Type::Struct(index) => {
            *text += "{";
            structs[*index].body.spell(structs, text);
            *text += "}";
        }
    }
}

/// Whether a type is plain data, without strings and vectors.
pub fn is_plain(ty: &Type, structs: &[Struct]) -> bool {
    match ty {
        Type::Scalar(_) | Type::Bool => true,
        Type::Array(of, _) => is_plain(of, structs),
        Type::String | Type::Bytes | Type::Vector(_) => false,
        Type::Struct(index) => structs[*index].plain,
    }
}
