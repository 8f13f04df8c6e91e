//! What holds for any description and any value.

use std::cell::RefCell;

use chimaera_description::{
    decode, encode, parse_type, spell_type, Block, Description, Memory, Type, Value,
};
use proptest::prelude::*;
use proptest::sample::Index;

/// Structs and a task with every type of field.
const TEXT: &str = r#"{"format":1,"structs":[
    {"name":"Extent","fields":[{"name":"start","type":"u64"},{"name":"blocks","type":"u32"},
        {"name":"sparse","type":"bool"}]},
    {"name":"Entry","fields":[{"name":"name","type":"string"},{"name":"extent","type":"Extent"},
        {"name":"data","type":"bytes"},{"name":"weights","type":"vector<f32>"}]}],
    "tasks":[{"method":"kTurn","fields":[
        {"name":"a","type":"i8","dir":"inout"},{"name":"b","type":"u16","dir":"inout"},
        {"name":"c","type":"i64","dir":"inout"},{"name":"d","type":"f64","dir":"inout"},
        {"name":"e","type":"bool","dir":"inout"},{"name":"f","type":"u8[5]","dir":"inout"},
        {"name":"g","type":"string","dir":"inout"},{"name":"h","type":"bytes","dir":"inout"},
        {"name":"i","type":"Entry","dir":"inout"},{"name":"j","type":"vector<Extent>","dir":"inout"},
        {"name":"k","type":"vector<string>","dir":"inout"},{"name":"l","type":"vector<vector<i16>>","dir":"inout"},
        {"name":"m","type":"vector<Entry>","dir":"inout"},{"name":"n","type":"Extent[2]","dir":"inout"}]}]}"#;

/// Blocks, by numbers.
#[derive(Default)]
struct Blocks(RefCell<Vec<Vec<u8>>>);

impl Memory for Blocks {
    fn place(&mut self, bytes: &[u8], _: bool) -> Result<Block, String> {
        let mut blocks = self.0.borrow_mut();
        blocks.push(bytes.to_vec());
        Ok(Block { shm: blocks.len() as u64, address: 0, capacity: bytes.len() as u64 })
    }

    fn read(&self, shm: u64, size: u64) -> Result<Vec<u8>, String> {
        let blocks = self.0.borrow();
        let block = blocks.get((shm as usize).wrapping_sub(1)).ok_or("no such block")?;
        block.get(..size as usize).map(<[u8]>::to_vec).ok_or_else(|| "too short".to_owned())
    }
}

/// Any value of a type.
fn value(ty: &Type, description: &Description) -> BoxedStrategy<Value> {
    match ty {
        Type::Scalar(scalar) if scalar.name() == "f32" => {
            any::<f32>().prop_map(|value| Value::Float(value.into())).boxed()
        }
        Type::Scalar(scalar) if scalar.name() == "f64" => {
            any::<f64>().prop_map(Value::Float).boxed()
        }
        Type::Scalar(scalar) => {
            let (least, most) = scalar.range();
            (least..=most).prop_map(Value::Integer).boxed()
        }
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::String => ".{0,9}".prop_map(Value::Text).boxed(),
        Type::Bytes => prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes).boxed(),
        Type::Array(of, n) => {
            prop::collection::vec(value(of, description), *n as usize).prop_map(Value::List).boxed()
        }
        Type::Vector(of) => {
            prop::collection::vec(value(of, description), 0..4).prop_map(Value::List).boxed()
        }
        Type::Struct(index) => {
            let fields = &description.structs[*index].body.fields;
            let values: Vec<_> = fields.iter().map(|field| value(&field.ty, description)).collect();
            let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
            values
                .prop_map(move |all| Value::Struct(names.iter().cloned().zip(all).collect()))
                .boxed()
        }
    }
}

fn known() -> Description {
    Description::from_json(TEXT).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_value_that_is_written_is_read_alike(which in any::<Index>(), seed in any::<u64>()) {
        let description = known();
        let body = description.tasks[0].body.as_ref().unwrap();
        let field = &body.fields[which.index(body.fields.len())];
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(
            ProptestConfig::default(),
            proptest::test_runner::TestRng::from_seed(
                proptest::test_runner::RngAlgorithm::ChaCha,
                &[seed.to_le_bytes(), [0; 8], [0; 8], [0; 8]].concat(),
            ),
        );
        let wanted = value(&field.ty, &description).new_tree(&mut runner).unwrap().current();
        let (mut task, mut blocks) = (vec![0_u8; body.size as usize], Blocks::default());
        encode(field, &wanted, &description.structs, &mut task, &mut blocks).unwrap();
        let read = decode(field, &description.structs, &task, &blocks).unwrap();
        // Not a number is not equal to itself.
        prop_assert_eq!(format!("{read:?}"), format!("{wanted:?}"));
        let again = Value::from_json(&wanted.to_json()).unwrap();
        encode(field, &again, &description.structs, &mut task, &mut blocks).unwrap();
    }

    /// Whatever a task's blocks hold, reading them ends in a value or an error.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 1024),
            block in prop::collection::vec(any::<u8>(), 0..200)) {
        let description = known();
        let body = description.tasks[0].body.as_ref().unwrap();
        let blocks = Blocks(RefCell::new(vec![block; 3]));
        for field in &body.fields {
            let _ = decode(field, &description.structs, &bytes, &blocks);
        }
    }

    /// A description of which bytes were changed is refused, or is one that can be written and read again.
    #[test]
    fn damaged_descriptions_are_refused_or_read(changes in
            prop::collection::vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = TEXT.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = Description::from_json(&String::from_utf8_lossy(&bytes)) {
            prop_assert_eq!(Description::from_json(&read.to_json().concat()), Ok(read));
        }
    }

    #[test]
    fn any_text_is_a_type_or_refused(text in "[a-zA-Z0-9<>\\[\\] ]{0,40}") {
        let structs = known().structs;
        if let Ok(ty) = parse_type(&text, &structs) {
            prop_assert_eq!(parse_type(&spell_type(&ty, &structs), &structs), Ok(ty));
        }
    }

    #[test]
    fn any_text_is_a_value_or_refused(text in ".{0,40}", which in any::<Index>()) {
        let description = known();
        let body = description.tasks[0].body.as_ref().unwrap();
        let field = &body.fields[which.index(body.fields.len())];
        if let Ok(value) = Value::from_text(&text, &field.ty, &description.structs) {
            let (mut task, mut blocks) = (vec![0_u8; body.size as usize], Blocks::default());
            let _ = encode(field, &value, &description.structs, &mut task, &mut blocks);
        }
    }
}
