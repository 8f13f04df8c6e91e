//! Where the strings and vectors of a task are.

use crate::types::{size_and_align, Body, Struct, Type};

/// A string or a vector in a task, or in an element of a vector, as `chi_field_layout` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the beginning of the task or element.
    pub offset: u32,
    /// The size of an element in bytes.
    pub elem_size: u32,
    /// The strings and vectors in an element.
    pub inner: Vec<Place>,
}

/// The strings and vectors of a body, in order. Those of structs in it count as its own.
pub fn places(body: &Body, structs: &[Struct]) -> Vec<Place> {
    let mut found = Vec::new();
    add(body, 0, structs, &mut found);
    found
}

fn add(body: &Body, base: u32, structs: &[Struct], found: &mut Vec<Place>) {
    for field in &body.fields {
        let offset = base.saturating_add(field.offset);
        match &field.ty {
            // Arrays are of plain types only.
            Type::Scalar(_) | Type::Bool | Type::Array(..) => {}
            Type::String | Type::Bytes => {
                found.push(Place { offset, elem_size: 1, inner: Vec::new() })
            }
            Type::Struct(index) => add(&structs[*index].body, offset, structs, found),
            Type::Vector(of) => {
                let elem_size = size_and_align(of, structs).0;
                found.push(Place { offset, elem_size, inner: of_element(of, structs) });
            }
        }
    }
}

fn of_element(ty: &Type, structs: &[Struct]) -> Vec<Place> {
    match ty {
        Type::Scalar(_) | Type::Bool | Type::Array(..) => Vec::new(),
        Type::String | Type::Bytes => vec![Place { offset: 0, elem_size: 1, inner: Vec::new() }],
        Type::Struct(index) => places(&structs[*index].body, structs),
        Type::Vector(of) => {
            let elem_size = size_and_align(of, structs).0;
            vec![Place { offset: 0, elem_size, inner: of_element(of, structs) }]
        }
    }
}
