//! Reads the section `params` of `chimaera_mod.yaml`: the parameters of a module's pools.

use chimaera_description::parse_type;
use chimaera_yaml::{shown, Entry, Kind, Meaning, Position, Report, Section, Text};

use super::fields::read_name;
use crate::model::{Body, Direction, Method, Params, Scalar, Type, Value};

/// The longest string that can be a default.
const MAX_TEXT: usize = 60;

/// The parameters of the section `params`.
pub(super) fn read(
    entry: Option<Entry>,
    methods: &[Method],
    report: &mut Report,
) -> Option<Params> {
    let entry = entry?;
    let at = entry.at;
    let mut section = Section::open(entry.value, "`params`", report)?;
    let doc = section.text("doc", report).map(|text| text.text);
    let fields = section.take("fields");
    section.close("", report);
    if !methods.iter().any(|method| method.name == "kCreate" && method.supported) {
        report.add(at, "parameters without a kCreate that takes them", "write `kCreate: 0`");
    }
    let items = match fields.map(|fields| fields.value.kind) {
        Some(Kind::Sequence(items)) if !items.is_empty() => items,
        Some(Kind::Refused) => return None,
        _ => {
            let help = "list them: `fields: [{name: level, type: i32, default: 3}]`";
            report.add(at, "no list of `fields` in `params`", help);
            return None;
        }
    };
    let mut params = Params { doc, body: Body::new(0), defaults: Vec::new(), pools: Vec::new() };
    for item in items {
        let at = item.at;
        let Some(mut section) = Section::open(item, "a parameter", report) else { continue };
        let name = section.text("name", report);
        let ty = section.text("type", report);
        let default = section.take("default");
        let doc = section.text("doc", report).map(|text| text.text);
        section.close("", report);
        let name = read_name(name, at, &params.body, report);
        let names_pool = ty.as_ref().is_some_and(|ty| ty.text.trim_matches([' ', '\t']) == "pool");
        let ty = match names_pool {
            true => Type::String,
            false => match read_type(ty, at, report) {
                Some(ty) => ty,
                None => continue,
            },
        };
        let default = match default {
            Some(entry) => read_default(entry, &ty, report),
            None => Some(zero(&ty)),
        };
        if let (Some(name), Some(default)) = (name, default) {
            if names_pool {
                params.pools.push(name.clone());
            }
            params.body.push((name, doc), ty, Direction::In, &[]);
            params.defaults.push(default);
        }
    }
    Some(params)
}

fn read_type(ty: Option<Text>, at: Position, report: &mut Report) -> Option<Type> {
    let Some(Text { text, at }) = ty else {
        report.add(at, "a parameter without `type`", "write `type: u64`, for example");
        return None;
    };
    match parse_type(&text, &[]) {
        Ok(ty @ (Type::Scalar(_) | Type::Bool | Type::String)) => Some(ty),
        _ => {
            report.add(
                at,
                format!("`{}` cannot be the type of a parameter", shown(&text)),
                "parameters are u8 to u64, i8 to i64, f32, f64, bool, string and pool",
            );
            None
        }
    }
}

fn zero(ty: &Type) -> Value {
    match ty {
        Type::Scalar(Scalar::Float(_)) => Value::Float(0.0),
        Type::Bool => Value::Bool(false),
        Type::String => Value::Text(String::new()),
        _ => Value::Integer(0),
    }
}

fn read_default(entry: Entry, ty: &Type, report: &mut Report) -> Option<Value> {
    let at = entry.value.at;
    let (found, expected) = match &entry.value.kind {
        Kind::Refused => return None,
        Kind::Scalar { text, .. } => (value(text, entry.value.meaning(), ty), expected(ty)),
        _ => (None, expected(ty)),
    };
    if found.is_none() {
        let message = format!("the default is {}", entry.value.describe());
        report.add(at, message, format!("write {expected}"));
    }
    found
}

/// The value that `text` denotes.
fn value(text: &str, meaning: Option<Meaning>, ty: &Type) -> Option<Value> {
    match (ty, meaning?) {
        (_, Meaning::Null) => None,
        (Type::Bool, Meaning::Bool(value)) => Some(Value::Bool(value)),
        (Type::Scalar(Scalar::Float(bits)), Meaning::Integer | Meaning::Float) => text
            .parse()
            .ok()
            .filter(|value: &f64| match bits {
                32 => (*value as f32).is_finite(),
                _ => value.is_finite(),
            })
            .map(Value::Float),
        (Type::Scalar(scalar @ (Scalar::Unsigned(_) | Scalar::Signed(_))), Meaning::Integer) => {
            let (least, most) = scalar.range();
            text.parse().ok().filter(|value| (least..=most).contains(value)).map(Value::Integer)
        }
        (Type::Scalar(_) | Type::Bool, _) => None,
        _ => {
            let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            (printable && text.len() <= MAX_TEXT).then(|| Value::Text(text.to_owned()))
        }
    }
}

fn expected(ty: &Type) -> String {
    match ty {
        Type::Bool => "`true` or `false`".into(),
        Type::Scalar(Scalar::Float(_)) => "a number like 0.5".into(),
        Type::Scalar(scalar) => {
            let (least, most) = scalar.range();
            format!("a number from {least} to {most}")
        }
        _ => format!("at most {MAX_TEXT} printable characters of ASCII"),
    }
}
